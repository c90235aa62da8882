"""`mrl-sweep config` shows every setting with its origin, never a secret, and what it prints can be used again."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

from mrl_sweep.settings.config import load_config

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_text_is_a_configuration_file_with_the_origin_of_each_value(command: Command, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text("[decision]\nretain = '97%'\n")
    done = command("config", "sweep.toml", "--dims", "64,256", "--max-memory", "4GiB", env={"MRL_SWEEP_ALPHA": "1%"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "retain = 0.97 # sweep.toml:2" in lines
    assert "dims = [256, 64] # --dims" in lines
    assert "alpha = 0.01 # MRL_SWEEP_ALPHA" in lines
    assert 'similarity = "cosine" # default' in lines
    assert "# revision = # default" in lines
    settings = tomllib.loads(done.stdout)
    assert settings["decision"]["measures"] == ["nDCG@10", "R@10", "R@100"]
    assert settings["run"]["max_memory"] == "4GiB"


def test_the_printed_file_gives_the_same_settings_again(command: Command, tmp_path: Path) -> None:
    first = command(
        "config", "--dims", "every:8", "--index", "IVF64,Flat", "--slice", "label", "--retain", "99.5%", "--threads", "3"
    )
    (tmp_path / "again.toml").write_text(first.stdout)
    second = command("config", "again.toml")
    assert tomllib.loads(second.stdout) == tomllib.loads(first.stdout)


def test_json_is_one_document(command: Command) -> None:
    rows = json.loads(command("config", "--format", "json", "--retain", "0.9").stdout)["settings"]
    assert {"key": "decision.retain", "value": 0.9, "origin": "--retain"} in rows
    assert {"key": "run.max_memory", "value": None, "origin": "default"} in rows


def test_a_key_in_the_environment_is_never_shown(process: Command) -> None:
    secrets = dict.fromkeys(("OPENAI_API_KEY", "VOYAGE_API_KEY", "CO_API_KEY", "GEMINI_API_KEY", "HF_TOKEN"), "canary-4711")
    for argv in (["config"], ["config", "--format", "json"], ["config", "--debug", "--retain", "2"], ["run", "--debug"]):
        done = process(*argv, "--base-url", "https://user:canary-4711@host/v1", env=secrets)
        assert "canary-4711" not in done.stdout + done.stderr


def test_other_formats_are_refused(command: Command) -> None:
    done = command("config", "--format", "html")
    assert (done.returncode, done.stderr) == (2, "error: config has no html format\nhint: --format text or json\n")


CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_example_configuration_is_accepted() -> None:
    names = {path.name for path in CONFIGS.glob("*.toml")}
    assert {load_config(path, environ={}).collection.source for path in CONFIGS.glob("*.toml")} == {"pydocs", "my-corpus"}
    assert names >= {
        "pydocs.toml",
        "local-model.toml",
        "stored-vectors.toml",
        "hosted.toml",
        "strict.toml",
        "latency-budgets.toml",
    }


def test_every_example_says_how_it_is_run() -> None:
    for path in CONFIGS.glob("*.toml"):
        assert f"mrl-sweep run configs/{path.name}\n" in path.read_text()
