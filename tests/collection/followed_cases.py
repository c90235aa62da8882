"""Situations in which a reader of collections gives a hint, and how each hint is followed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import followed_hints as hints
import pyarrow as pa
from following import (
    Follow,
    added,
    database,
    exported,
    option,
    parquet,
    pulled,
    ran,
    repaired,
    same_ids,
    split,
    tar,
    typed,
    unpacked,
    unzipped,
    zipped,
)
from test_siblings import ASKED, BEIR, CORPUS, CSV, JUDGED, PAIRS, TEXTS, TOPICS, TREC, but, joined, lines, topics

from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.types.collection import MissingDocs


class Case(NamedTuple):
    """A situation (files, and what is typed, `{}` for their folder), what its hint says, and how that is followed."""

    spec: str
    files: hints.Files
    says: str
    hint: str
    follow: Follow
    tried: Mapping[str, Any] = MappingProxyType({})
    then: str = ""
    """A later message; "" where the collection is read."""


def judged(first: str, *, then: str = "") -> hints.Files:
    return {**BEIR, "qrels/test.tsv": first + then}


def corpus(text: str | bytes) -> hints.Files:
    return {**BEIR, "corpus.jsonl": text}


def differing(query: str, document: str, to: tuple[str, str] = ("q0", "d0")) -> hints.Files:
    asked, found = ASKED.replace('"q0"', json.dumps(to[0])), CORPUS.replace('"d0"', json.dumps(to[1]))
    return {"queries.jsonl": asked, "corpus.jsonl": found, "qrels/test.tsv": f"{query}\t{document}\t1\n"}


TOP = "<top>\n<num>{}\n<title>{}\n</top>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
SEEN_IN = r'"(.+?)" in \S+, "(.+?)" in '
QREL_LINE = "a line holds query id, document id, grade"
good_qrels, good_corpus = repaired(qrels__test_tsv=JUDGED), repaired(corpus_jsonl=CORPUS)
good_topics, good_csv = repaired(topics_txt=topics(TOP)["topics.txt"]), repaired(corpus_csv=str(CSV["corpus.csv"]))
PAIRED = lines(PAIRS, "query-id", "corpus-id", "score")
LONG = json.dumps({"_id": "long", "text": "x" * 300}) + "\n"
CASES: dict[str, Case] = {
    "nothing is named": Case("", {}, "no collection is named", "--collection (pydocs)", typed()),
    "an address": Case("s3://b/c", BEIR, "is an address", "(name the folder)", typed("{2}")),
    "a kind misspelt": Case("csb:{}", CSV, "no kind of collection", r"did you mean (\S+)\?", typed()),
    "the packaged one misspelt": Case("pydoc", {}, "no kind of collection", r"did you mean (\S+)\?", typed()),
    "a kind alone": Case("csv:", CSV, "names no collection", "^(csv:NAME)$", typed(NAME="{}")),
    "strict, an empty text": Case(
        "{}", corpus('{"_id": "d9", "text": ""}\n' + CORPUS), "strict:", "leave strict mode", option(), {"strict": True}
    ),
    "strict, a query's half a character": Case(
        "{}",
        {**BEIR, "queries.jsonl": ASKED.replace("where", "\\ud800")},
        "half a character",
        "leave strict mode",
        option(),
        {"strict": True},
    ),
    "quotes": Case("csv:{},quotes=some", CSV, "not understood", "^(quotes=none)$", typed("csv:{2},{0}")),
    "no queries among what is named": Case(
        "csv:corpus={0}/corpus.csv",
        CSV,
        "names no queries and no qrels",
        r"or name them: (\S+)$",
        typed(
            **{
                "corpus=FILE": "corpus={}/corpus.csv",
                "queries=FILE": "queries={}/queries.csv",
                "qrels=FILE": "qrels={}/qrels.csv",
            }
        ),
    ),
    "two grades": Case("{}", judged(JUDGED, then="q0\td0\t2\n"), "has grade 2", "keep one of the two", good_qrels),
    "swapped columns": Case(
        "{}", judged(joined([(d, q, "1") for q, d, _ in PAIRS], "\t")), "are not in", "columns of .* look swapped", good_qrels
    ),
    "another split's queries": Case(
        "{}",
        {**BEIR, "qrels/dev.tsv": JUDGED, "qrels/test.tsv": "x\td0\t1\n"},
        "are not in",
        "right --split[?] There are (dev), test",
        split,
    ),
    "unknown documents": Case(
        "{}",
        judged(JUDGED, then="q1\tgone\t1\n"),
        "judged documents .* are not in",
        "--missing-docs (count)",
        lambda tried, match: tried._replace(options=LoadOptions(missing_docs=MissingDocs(match[1]))),
    ),
    "no grade above 0": Case("{}", judged(JUDGED.replace("\t1\n", "\t0\n")), "is above 0", "grade of 1 or more", good_qrels),
    "no topic": Case("trec:{}", {**TOPICS, "topics.txt": "rain\n"}, "not a topic", "topics are <top> blocks", good_topics),
    "text outside": Case("trec:{}", topics(TOP, ("", "rain\n")), "outside of a topic", "topics are <top> blocks", good_topics),
    "a topic cut off": Case("trec:{}", topics(TOP, ("", "<top>\n<num>9\n")), "no </top>", "was the file cut off", good_topics),
    "no XML": Case("trec:{}", {**TOPICS, "topics.txt": "<topic><a></topic>"}, "not XML", "topics are <top>", good_topics),
    "no elements": Case(
        "trec:{}", {**TOPICS, "topics.txt": "<?xml version='1.0'?>"}, "no <topic> element", "XML <topic>", good_topics
    ),
    "a number of another name": Case(
        "trec:{}", topics("<topic><label>{}</label><title>{}</title></topic>"), "has no number", r"name it: (\S+)", added()
    ),
    "a text of another name": Case(
        "trec:{}", topics("<top>\n<num>{}\n<ask>{}\n</top>\n"), "has no text", r"name one: (\S+)", added()
    ),
    "a query's id twice": Case(
        "{}", {**BEIR, "queries.jsonl": ASKED + ASKED}, "is also at", "an id of its own", repaired(queries_jsonl=ASKED)
    ),
    "a document's id twice": Case(
        "{}", corpus(CORPUS + '{"_id": "d0", "text": "b"}\n'), "is also at", "id of its own", good_corpus
    ),
    "a file, not a folder": Case("{}/corpus.jsonl", BEIR, "not a folder", r"name its folder: (\S+);", typed()),
    "a packed folder": Case("{}/x.tar.gz", {"x.tar.gz": tar()}, "not a folder", "unpack it, and name the folder", unpacked),
    "a folder misspelt": Case(
        "{}/scifcat", {f"scifact/{k}": v for k, v in BEIR.items()}, "no such folder", r"did you mean (\S+)\?", typed()
    ),
    "no folder": Case("{}/zzz", BEIR, "no such folder", "collections are named trec:, csv:, ir:, hf: or (pydocs)", typed()),
    "a folder too high": Case(
        "{}", {f"s/{k}": v for k, v in BEIR.items()}, "no such file", r"name the folder below: (\S+);", typed()
    ),
    "another file's name": Case(
        "{}", but(BEIR, "queries.jsonl", **{"query.jsonl": ASKED}), "no such file", r"name the file: (\S+);", typed()
    ),
    "some file's name": Case(
        "{}",
        but(BEIR, "queries.jsonl", **{"mine.jsonl": ASKED, "other.jsonl": ""}),
        "no such file",
        r"name the file: (\S+);",
        typed(FILE="mine.jsonl"),
    ),
    "two files of judgments": Case("{}", {**BEIR, "qrels/test.jsonl": PAIRED}, "two files hold", r"name one: (\S+)$", typed()),
    "no judgments, put there": Case(
        "{}",
        but(BEIR, "qrels/test.tsv", judged=TREC),
        "no judgments",
        r"put them into (\S+)/qrels/test.tsv,",
        good_qrels,
    ),
    "no judgments, named": Case(
        "{}", but(BEIR, "qrels/test.tsv", judged=TREC), "no judgments", r"name their file: (\S+);", typed(FILE="judged")
    ),
    "no judgments, none needed": Case(
        "{}", but(BEIR, "qrels/test.tsv"), "no judgments", "without judgments --(label-free)", option(label_free=True)
    ),
    "an unknown split": Case("{}", BEIR, "no split tset", r"^--split (test)$", split, {"split": "tset"}),
    "an unknown setting": Case("{},qrles=x", {**BEIR, "x": TREC}, "unknown setting", r"did you mean (\S+)\?", typed("{2},{0}=x")),
    "a setting without a value": Case("csv:{},qrels=", CSV, "needs a value", "qrels=(FILE)", typed("{1}{0}", FILE="qrels.csv")),
    "a torn file": Case("{}", corpus(gzip.compress(CORPUS.encode())[:-30]), "cannot read", "copy it again", good_corpus),
    "a path that is none": Case("{},qrels=no.tsv", BEIR, "cannot read", "check the (path)", typed("{2},qrels=qrels/test.tsv")),
    "a pointer": Case("{}", corpus(LFS), "Git LFS pointer", r"git -C (\S+) lfs pull", pulled),
    "a zip": Case("{}", corpus(zipped()), "a zip archive", "unpack it", unzipped),
    "a web page": Case("{}", corpus("<!doctype html>\n<p>"), "a web page", "download the file itself", good_corpus),
    "a PDF": Case("{}", corpus("%PDF-1.7\n"), "a PDF", "write its text as JSON lines", good_corpus),
    "SQLite": Case("csv:{}", {**CSV, "corpus.csv": database()}, "SQLite", "export its table as CSV", exported),
    "a JSON array": Case(
        "{}",
        corpus(json.dumps([json.loads(line) for line in CORPUS.splitlines()])),
        "one JSON array",
        r"write an object a line: (jq -c '\.\[\]' \S+) >",
        ran("corpus.jsonl"),
    ),
    "carriage returns": Case("{}", judged(JUDGED.replace("\n", "\r")), "return alone", "^(tr .*)$", ran("qrels/test.tsv")),
    "a long line": Case(
        "{}",
        corpus(CORPUS + LONG),
        "longer than max_line_bytes = 256",
        r"from Python, LoadOptions\((max_line_bytes)=N\)",
        lambda tried, match: option(**{match[1]: 4096})(tried, match),
        {"max_line_bytes": 256},
    ),
    "a long record": Case(
        "csv:{}",
        {**CSV, "corpus.csv": 'id,text\nd9,"open\n' + joined(TEXTS, ",") * 9},
        "record is longer",
        "(quotes=none)",
        added(),
        {"max_line_bytes": 256},
    ),
    "Windows' letters": Case(
        "{}", corpus(CORPUS.replace("rain", "ra\xefn").encode("cp1252")), "not UTF-8", ": (iconv .*)$", ran("corpus.jsonl")
    ),
    "UTF-16 with a mark": Case(
        "{}", corpus(CORPUS.encode("utf-16")), "not UTF-8", ": (iconv -f UTF-16 .*)$", ran("corpus.jsonl")
    ),
    "UTF-16, little end": Case("{}", corpus(CORPUS.encode("utf-16-le")), "UTF-16", ": (iconv .*)$", ran("corpus.jsonl")),
    "UTF-16, big end": Case("{}", corpus(CORPUS.encode("utf-16-be")), "UTF-16", ": (iconv .*)$", ran("corpus.jsonl")),
    "no JSON": Case("{}", corpus(CORPUS + '{"_id": '), "not JSON", "one whole JSON object", good_corpus),
    "an object for a text": Case(
        "{}",
        corpus("".join(json.dumps({"_id": d, "text": {"t": text}}) + "\n" for d, text in TEXTS)),
        "must be a string",
        r"name what is inside it: (\S+)$",
        typed("{1},corpus.text={0},corpus.id=_id"),
    ),
    "a list for a text": Case("{}", corpus('{"_id": "d0", "text": ["a"]}\n'), "must be a string", "join its pieces", good_corpus),
    "a judgment's columns": Case("{}", judged("q0\td0\t1\nq0\t0\td1\t1\n"), "columns where the first", QREL_LINE, good_qrels),
    "a judgment without an id": Case("{}", judged("q0\td0\t1\nq0\t\t1\n"), "an id is empty", QREL_LINE, good_qrels),
    "half a grade": Case("{}", judged("q0\td0\t1\nq1\td1\t0.5\n"), "a whole number", QREL_LINE, good_qrels),
    "a huge grade": Case("{}", judged("q0\td0\t1\nq1\td1\t9999999999\n"), "is beyond", QREL_LINE, good_qrels),
    "two columns": Case("{}", judged("q0\td0\n"), "3 or 4 are needed", QREL_LINE, good_qrels),
    "a run": Case("{}", judged("q0 Q0 d0 1 14.3 tag\n"), "6 columns", "judgments hold query id, document id", good_qrels),
    "a header": Case(
        "{}",
        judged("query-id\tx\ty\n", then=joined(PAIRS, "\t")),
        "nor a header",
        "a header, if any, reads (query-id, corpus-id, score)",
        good_qrels,
    ),
    "a column misspelt": Case(
        "csv:{},corpus.text=txet", CSV, "no column txet", r"did you mean (\S+)\?", typed("csv:{2},corpus.text={0}")
    ),
    "a column that is none": Case(
        "csv:{},corpus.text=zzz", CSV, "no column zzz", "^(corpus.text=NAME) names the column", typed("csv:{2},{0}", NAME="text")
    ),
    "no column of ids": Case(
        "csv:{}",
        {**CSV, "corpus.csv": str(CSV["corpus.csv"]).replace("id,", "zzz,")},
        "is known to hold the id",
        "name it: (corpus.id=NAME)",
        added(NAME="zzz"),
    ),
    "one column": Case(
        "{}",
        {**but(BEIR, "corpus.jsonl"), "corpus.tsv": "rain\n"},
        "1 column between tabs",
        "a header line may name other columns",
        repaired(corpus_tsv="id\ttext\tmore\n" + joined([(*row, "x") for row in TEXTS], "\t")),
    ),
    "a tab in a text": Case(
        "{}",
        {**but(BEIR, "corpus.jsonl"), "corpus.tsv": joined(TEXTS, "\t") + "d9\ta\tb\n"},
        "3 columns where 2",
        "write such texts as (JSON lines)",
        repaired(corpus_jsonl=CORPUS),
    ),
    "an empty table": Case(
        "csv:{}",
        {**CSV, "queries.csv": ""},
        "is empty",
        "first line names the columns",
        repaired(queries_csv=str(CSV["queries.csv"])),
    ),
    "no head": Case("csv:{}", {**CSV, "corpus.csv": "id\rx,text\n"}, "not a header", "its first line names columns", good_csv),
    "a comma in a text": Case(
        "csv:{}",
        {**CSV, "corpus.csv": "id,text\nd0,a, b\n"},
        "3 fields",
        "',' must stand in quotation marks",
        repaired(corpus_csv=str(CSV["corpus.csv"]).replace(TEXTS[0][1], '"a, b"')),
    ),
    "a stray mark": Case(
        "csv:{}", {**CSV, "corpus.csv": str(CSV["corpus.csv"]).replace("The", '"T"he')}, ":", "; (quotes=none) takes", added()
    ),
    "a column that is not UTF-8": Case(
        "{}",
        {**but(BEIR, "corpus.jsonl"), "corpus.parquet": parquet(id=["d0"], text=pa.array([b"\xff"]).view(pa.string()))},
        "is not UTF-8",
        "write the column as UTF-8",
        repaired(corpus_parquet=parquet(id=[d for d, _ in TEXTS], text=[text for _, text in TEXTS])),
    ),
} | {
    f"ids that differ by {name}": Case(
        "{}", differing(*ours, to), "are not in", rf"the ids differ by {name}.*: {SEEN_IN}", same_ids("qrels/test.tsv")
    )
    for name, ours, to in (
        ("white space", ("q0", "d0"), ("q0 ", "d0")),
        ("leading zeros", ("007", "d0"), ("7", "d0")),
        ("the Unicode form", ("q0", "e\u0301"), ("q0", "\u00e9")),
        ("letter case", ("Q0", "d0"), ("q0", "d0")),
        ("quotation marks", ("q0", "'d0'"), ("q0", "d0")),
        ("the folder or ending", ("q0", "a/d0.txt"), ("q0", "d0")),
    )
}
