"""Several services on one plan: what each asks, what each gets, and what its own queries say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mrl_sweep.deploying.bill import PlanRequest
from mrl_sweep.deploying.tenants import Tenant, TenantRow
from mrl_sweep.errors import InputError
from mrl_sweep.runs.plan import plan_run
from mrl_sweep.runs.reopen import reopen
from mrl_sweep.settings.config import SweepConfig

MadeRun = Callable[..., Path]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_tenant_is_read_with_its_limits() -> None:
    one = Tenant.parse("search ms=20 gib=0.5 recall=95% qps=200 slice=lang:de:at")
    assert one == Tenant(
        name="search", p99_ms=20.0, size_bytes=2**29, recall=0.95, queries_per_second=200.0, slice=("lang", "de:at")
    )
    assert Tenant.parse("plain") == Tenant(name="plain")


def test_a_tenants_limits_stand_in_the_place_of_the_plans() -> None:
    request = PlanRequest(docs=10, p99_ms=5.0, recall=0.9)
    assert Tenant.parse("x ms=20 qps=3").request(request) == PlanRequest(docs=10, p99_ms=20.0, recall=0.9, queries_per_second=3.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x ms", "'ms' is no limit"),
        ("x gbi=3", "'gbi=3' is no limit"),
        ("x ms=fast", "'fast' is no value of ms"),
        ("x recall=120%", "'120%' is no value of recall"),
        ("x slice=lang", "'lang' is no value of slice"),
        ("x gib=0", "'0' is no value of gib"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=f"tenant x: {told}"):
        Tenant.parse(text)


def test_a_tenant_has_a_name() -> None:
    with pytest.raises(InputError, match="a tenant has no name"):
        Tenant.parse(" ")


@pytest.fixture
def run(made_run: MadeRun) -> Path:
    """128 keeps everything for everyone; 64 keeps it for English, and puts nine documents before each German answer."""
    metadata = [{"lang": "en" if i < 800 else "de"} for i in range(900)]
    worse = [0] * 800 + [9] * 100
    return made_run({256: [0] * 900, 128: [0] * 900, 64: worse}, retain=0.85, metadata=metadata)


def planned(run: Path, *tenants: str) -> dict[str, TenantRow]:
    config = SweepConfig.of(docs=1000, tenant=list(tenants), price_gib_month=1)
    return {one.tenant.name: one for one in plan_run(reopen(run, config), config).tenants}


def test_each_gets_the_cheapest_row_that_its_own_queries_prove(run: Path) -> None:
    rows = planned(run, "all", "english slice=lang:en", "german slice=lang:de", "tiny gib=0.0000001")
    got = {name: one.row and one.row.configuration for name, one in rows.items()}
    assert got == {"all": "64:float32:Flat", "english": "64:float32:Flat", "german": "128:float32:Flat", "tiny": None}
    assert (rows["german"].slice_queries, rows["german"].slice_kept) == (100, 1.0)
    assert (rows["english"].slice_queries, rows["english"].slice_kept) == (800, 1.0)
    assert rows["tiny"].reason == "no configuration is known to be within its limits"


def test_a_slice_that_no_size_is_proven_for_says_what_the_best_keeps(made_run: MadeRun) -> None:
    run = made_run({256: [0] * 400, 128: [0] * 400}, retain=0.9, metadata=[{"lang": "en" if i else "de"} for i in range(400)])
    chosen = planned(run, "german gib=0.0006 slice=lang:de")["german"]
    assert chosen.row is None
    assert chosen.reason.startswith("nothing within its limits is proven to keep 90% of the 1 query with lang=de")


def test_the_table_and_the_document_have_a_line_each(run: Path, command: Command) -> None:
    argv = ("plan", str(run), "--docs", "1000", "--tenant", "a", "--tenant", "b slice=lang:de", "--price-gib-month", "1")
    text = command(*argv, "--currency", "EUR").stdout
    assert "Tenants" in text
    assert "lang=de" in text
    assert "a month, EUR" in text
    document = json.loads(command(*argv, "--format", "json").stdout)
    assert [(one["tenant"]["name"], one["row"]["dim"]) for one in document["tenants"]] == [("a", 64), ("b", 128)]
    wrong = command("plan", str(run), "--docs", "1000", "--tenant", "b slice=lang:fr")
    assert (wrong.returncode, "no query has lang=fr" in wrong.stderr) == (2, True)
    again = command("plan", str(run), "--docs", "1000", "--tenant", "b; b ms=3")
    assert (again.returncode, "two tenants have one name" in again.stderr) == (2, True)
