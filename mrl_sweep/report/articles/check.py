"""Collections checked: what each holds, and that it is sound."""

from __future__ import annotations

from collections.abc import Sequence

from mrl_sweep import words
from mrl_sweep.collection.describe import Description
from mrl_sweep.report.content.layout import Article, Column, Mood, Section, advice_items, by_name, table


def check_article(descriptions: Sequence[Description]) -> Article:
    """A table of figures for each collection, and one sentence for each."""
    several = len(descriptions) > 1
    sections = [_overview(descriptions)] if several else []
    return Article(
        title=f"check of {', '.join(one.name for one in descriptions)}",
        document=by_name([(one.name, one.to_dict()) for one in descriptions]),
        closing=tuple(map(_sound, descriptions)),
        sections=(*sections, *(_figures(one, one.name if several else "") for one in descriptions)),
        warnings=Section(title="Warnings", items=advice_items([advice for one in descriptions for advice in one.warnings])),
    )


def _sound(found: Description) -> str:
    noun = "judged query" if found.judgments else "query"
    queries = words.plural(found.queries, noun, f"{noun.removesuffix('y')}ies")
    return f"{found.name} is sound: {words.plural(found.documents, 'document')}, {queries}."


def _overview(descriptions: Sequence[Description]) -> Section:
    """Each collection in one line."""
    columns = [
        Column(title="collection", cells=tuple(one.name for one in descriptions), right=False),
        Column(title="documents", cells=tuple(words.count(one.documents) for one in descriptions)),
        Column(title="queries", cells=tuple(words.count(one.queries) for one in descriptions)),
        Column(title="judgments", cells=tuple(words.count(one.judgments) for one in descriptions)),
        Column(title="strictest share", cells=tuple(words.percent(one.strictest_share) for one in descriptions)),
        Column(title="warnings", cells=tuple(words.count(len(one.warnings)) for one in descriptions)),
    ]
    moods = [Mood.OPEN if one.warnings else Mood.GOOD for one in descriptions]
    return Section(title=f"{len(descriptions)} collections", asked=True, table=table(columns, moods))


def _figures(found: Description, title: str) -> Section:
    what, figures = zip(*found.rows(), strict=True)
    columns = [Column(title="of the collection", cells=what, right=False), Column(title="figures", cells=figures, right=False)]
    return Section(title=title, asked=True, table=table(columns, [Mood.PLAIN] * len(what)))
