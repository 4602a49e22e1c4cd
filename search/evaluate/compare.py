"""Which of several ways to search, or to recognise actions, is better, and how sure that is: a table of differences.

The ways are every combination of the values given for some axes; those that need another index have one beside the
results. Differences are to the first row, over the same queries. The p-values are those of single paired tests: of
twenty rows without any difference, one will have p < 0.05.

Where actions are compared, every labelled video counts once: ``P@1`` and ``hit@3`` are 1 if its right class is ranked
first alone, or among the first three; ``MRR`` is 1 / its rank. Classes that tie share their mean rank.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path

from indexer.config import LoadedSettings
from indexer.core.errors import UsageError
from indexer.core.types import Embedding, ModalityName
from indexer.maintenance.variants import index_variant
from indexer.manifest import models_of
from indexer.modalities.registry import modality_names
from indexer.models.profiles import choose_profile
from indexer.progress import IndexReport, Progress
from indexer.shots.sampling import STRATEGIES
from indexer.store import open_store
from indexer.store.base import Manifest, VectorStore
from search.engine import SearchEngine, manifest_of
from search.evaluate import ReportProgress, actions, no_progress, write_csv, write_json
from search.evaluate.metrics import QueryValues
from search.evaluate.prompts import ClassNames, encode_classes, read_templates
from search.evaluate.qrels import Queries, SkippedRow, match_queries
from search.evaluate.retrieval import MetricValue, as_tables, measure_runs, summarise, write_topics
from search.evaluate.runs import RetrievalOptions, run_queries, write_runs
from search.evaluate.significance import Difference, paired_differences
from search.modalities import modality_named

OF_SEARCHES = ("only", "weights")  # axes that make a difference to searches alone
OF_ACTIONS = ("pooling", "templates", "tau")  # axes that make a difference to evaluations of actions alone
AXES = ("profile", "keyframes", *OF_SEARCHES, *OF_ACTIONS)
ACTION_METRICS = ("P@1", "hit@3", "MRR")

_NOT_OF_ACTIONS = "Pictures alone are looked at; name a file of captions before it to compare searches."
_NOT_OF_SEARCHES = "Leave out the captions to compare it on the labelled videos, as 'sceneseek evaluate actions' does."
_HEADING = ("setup", "metric", "value", "low", "high", "queries", "difference", "from", "to", "p", "videos")


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to search; ``chosen`` has one value for each axis."""

    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it is shown: ``profile=embedded keyframes=middle``."""
        return " ".join(f"{axis}={value}" for axis, value in self.chosen.items()) or "as it is"

    @property
    def slug(self) -> str:
        """The name for a file."""
        return re.sub(r"[^\w.+-]+", "-", self.name).strip("-")

    def value(self, axis: str, default: str = "") -> str:
        """The value chosen for an axis, or the default if it is not varied."""
        return self.chosen.get(axis, default)

    @property
    def tau(self) -> float:
        """The temperature of the pooling ``query``, by default the usual one; a UsageError if it is not a number."""
        text = self.value("tau", str(actions.TAU))
        try:
            return float(text)
        except ValueError as error:
            raise UsageError(f"'{text}' is not a number for tau.", hint="Write it as tau=0.05,0.1.") from error

    def weights(self, usual: Mapping[ModalityName, float]) -> dict[ModalityName, float]:
        """How much each modality counts: as usual, except for what ``weights`` and ``only`` say.

        A UsageError says that a weight cannot be read, a QueryError that there is no such modality.
        """
        weights = {name: usual.get(name, 1.0) for name in modality_names()}
        weights.update(_weights(self.value("weights")))
        only = {modality_named(name) for name in _parts(self.value("only"), "all")}
        return {name: (weight or 1.0) if name in only else 0.0 for name, weight in weights.items()} if only else weights


def parse_setups(texts: Sequence[str]) -> tuple[Setup, ...]:
    """Every combination of the values of some axes, the first values of all first.

    Axes are typed as ``keyframes=shots,middle``; parts of one value are joined by ``+``, as in
    ``weights=default,subtitle:2+ocr:0.5``.

    Raises:
        UsageError: an axis is unknown, named twice, has no values or an unknown one.
        QueryError: there is no such modality.
    """
    axes: dict[str, Sequence[str]] = {}
    for text in texts:
        typed, _, listed = text.partition("=")
        name = typed.strip().casefold()
        if name not in AXES:
            raise UsageError(f"'{text}' cannot be compared.", hint=f"Write NAME=A,B with {', '.join(AXES)}.")
        if name in axes:
            raise UsageError(f"'{name}' is given twice.", hint=f"Write all values at once: {name}=A,B.")
        axes[name] = list(dict.fromkeys(value.strip() for value in listed.split(",") if value.strip()))
        if not axes[name]:
            raise UsageError(f"'{text}' names no values to compare.", hint=f"Write {name}=A,B.")
    for value in axes.get("keyframes", ()):
        if value not in STRATEGIES:
            hint = f"There are: {', '.join(STRATEGIES)}."
            raise UsageError(f"There is no way to choose keyframes called '{value}'.", hint=hint)
    setups = tuple(Setup(dict(zip(axes, values, strict=True))) for values in product(*axes.values()))
    for setup in setups:
        setup.weights({})
        actions.check_pooling(setup.value("pooling", actions.POOLINGS[0]), setup.tau)
    return setups


@dataclass(frozen=True)
class IndexVariants:
    """Finds or makes the index for each setup: the existing one of ``loaded``, or another in ``folder``.

    Methods raise a StoreError if an index is not there or unreadable.
    """

    loaded: LoadedSettings
    folder: Path

    def grouped(self, setups: Sequence[Setup]) -> list[list[Setup]]:
        """The setups in groups of the same index; a ConfigError if there is no such profile."""
        groups: dict[Path | None, list[Setup]] = {}
        for setup in setups:
            groups.setdefault(self._place(setup), []).append(setup)
        return list(groups.values())

    def prepare(self, setup: Setup, progress: ReportProgress = no_progress) -> IndexReport | None:
        """Make the index for a setup, or bring it up to date, as indexing does; leaves the existing index as it is."""
        place = self._place(setup)
        if place is None:
            return None

        def show(step: Progress) -> None:
            progress(f"indexing: {setup.name}", step.bytes_done, step.bytes_total)

        profile, strategy = self._profile(setup), setup.value("keyframes")
        return index_variant(self.loaded, self._manifest, place, profile=profile, strategy=strategy, on_progress=show)

    def open(self, setup: Setup) -> SearchEngine:
        """Search the index for a setup."""
        index, place = self.loaded.settings.index, self._place(setup)
        device = self.loaded.settings.models.device
        return SearchEngine.open(place or index.path, name=index.name, url="" if place else index.url, device=device)

    def open_store(self, setup: Setup | None = None) -> VectorStore:
        """Read the index for a setup, by default the existing one; the caller closes it."""
        index, place = self.loaded.settings.index, self._place(setup) if setup is not None else None
        return open_store(place or Path(index.path), name=index.name, url="" if place else index.url)

    def _place(self, setup: Setup) -> Path | None:
        """The folder of the index for a setup, made or not; None for the existing index."""
        before = (self._manifest.profile, str(self._manifest.sampling.get("strategy", "")))
        wanted = (self._profile(setup), setup.value("keyframes") or before[1])
        return None if wanted == before else self.folder / "-".join(wanted)

    def _profile(self, setup: Setup) -> str:
        asked = setup.value("profile")
        return choose_profile(asked).profile.name if asked else self._manifest.profile

    @cached_property
    def _manifest(self) -> Manifest:
        with closing(self.open_store()) as store:
            return manifest_of(store)


def _weights(text: str) -> Iterator[tuple[ModalityName, float]]:
    for part in _parts(text, "default"):
        name, _, number = part.partition(":")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"'{part}' is not a weight.", hint="Write it as weights=default,subtitle:2+ocr:0.5.")
        yield modality_named(name.strip()), weight


def _parts(text: str, none: str) -> list[str]:
    return [part.strip() for part in text.split("+") if part.strip() not in ("", none)]


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One way to search: its metrics, and by metric the difference to the first row, which has none.

    ``videos`` counts those in its index; 0 if unknown.
    """

    name: str
    metrics: tuple[MetricValue, ...]
    differences: Mapping[str, Difference]
    videos: int = 0

    def metric(self, name: str) -> MetricValue:
        """The metric of that name; a KeyError if it was not measured."""
        return {metric.name: metric for metric in self.metrics}[name]


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """What was compared: ``queries`` of them, or where actions are compared, videos that are in every row.

    ``failed`` are the videos that could not be indexed in some way.
    """

    rows: tuple[ComparedRow, ...]
    queries: int
    skipped: tuple[SkippedRow, ...] = ()
    unmatched: tuple[SkippedRow, ...] = ()
    failed: tuple[SkippedRow, ...] = ()
    files: tuple[Path, ...] = ()


def compared(ways: Sequence[tuple[str, QueryValues, int]]) -> tuple[ComparedRow, ...]:
    """The rows of a table, from each way's name, its values, and the number of videos in its index.

    Only metrics that all have are compared, over the queries that all have.

    Raises:
        ValueError: no metric has a query that all ways have.
    """
    first, *others = (values for _, values, _ in ways)
    in_all = {
        name: [query for query in of_query if all(query in values.get(name, {}) for values in others)]
        for name, of_query in first.items()
    }
    shared = {name: queries for name, queries in in_all.items() if queries}
    if not shared:
        raise ValueError("there is no metric with a query in common")
    aligned = [
        {name: {key: values[name][key] for key in keys} for name, keys in shared.items()} for _, values, _ in ways
    ]
    return tuple(
        ComparedRow(name, summarise(values), _differences(aligned[0], values) if number else {}, videos)
        for number, ((name, _, videos), values) in enumerate(zip(ways, aligned, strict=True))
    )


def compare_setups(
    setups: Sequence[Setup],
    queries: Queries,
    variants: IndexVariants,
    *,
    out: Path,
    options: RetrievalOptions,
    progress: ReportProgress = no_progress,
) -> ComparisonTable:
    """Search in every way, measure, compare with the first, and write ``comparison.csv``, ``.json`` and every run.

    All are measured by the judgements of the existing index; a video that another index lacks counts as not found
    there. A stopped comparison continues where it was. Raises a UsageError if a setup makes no difference to searches
    or the folder cannot be written, and what indexing and searching raise.
    """
    check_setups(setups, OF_ACTIONS, _NOT_OF_SEARCHES)
    with variants.open(Setup()) as engine:
        topics = match_queries(queries, engine.catalogue())
    groups = variants.grouped(setups)
    files = write_topics(out, topics.videos, topics.moments)
    checkpoints = {setup.name: out / "runs" / f"{setup.slug}.json" for setup in setups}
    failed: list[SkippedRow] = []
    found: dict[str, tuple[QueryValues, int]] = {}
    for group in groups:
        failed += prepare_index(group[0], variants, progress)
        with variants.open(group[0]) as engine:  # opened once, so that its models load once
            videos = len(engine.catalogue().videos)
            for setup in group:
                chosen = replace(options, weights=setup.weights(options.weights), name=setup.slug)
                checkpoint, report = checkpoints[setup.name], _naming(setup, progress)
                runs = run_queries(engine, topics.texts, options=chosen, checkpoint=checkpoint, progress=report)
                files += write_runs(out / "runs", setup.slug, runs, with_moments=bool(topics.moments))
                found[setup.name] = measure_runs(runs, topics, videos), videos
    rows = compared([(setup.name, *found[setup.name]) for setup in setups])
    table = ComparisonTable(rows, len(topics.texts), queries.skipped, topics.unmatched, tuple(failed))
    written = write_table(out, table, files)
    for checkpoint in checkpoints.values():
        checkpoint.unlink(missing_ok=True)
    return written


def compare_actions(
    setups: Sequence[Setup],
    variants: IndexVariants,
    *,
    out: Path,
    classes: ClassNames | None = None,
    progress: ReportProgress = no_progress,
) -> ComparisonTable:
    """Rank the classes in every way, compare with the first, and write ``comparison.csv``, ``.json``, ``videos.csv``.

    Labels are those of the existing index. Only videos with frames in every index are compared. Frames are read once
    for each index; vectors of texts are kept in ``out``.

    Raises:
        UsageError: a setup makes no difference to actions, no video has a label of these classes, no video is in every
            index, or the folder cannot be written.
        SceneseekError: as indexing and reading raise it.
    """
    check_setups(setups, OF_SEARCHES, _NOT_OF_ACTIONS)
    names = dict.fromkeys(setup.value("templates", "clip") for setup in setups)
    templates = {name: read_templates(name) for name in names}
    with closing(variants.open_store()) as store:
        labelled = actions.labelled_videos(store, classes, otherwise="; or name a file of captions before the axes")
    failed: list[SkippedRow] = []
    found: dict[str, dict[str, float]] = {}
    for group in variants.grouped(setups):
        failed += prepare_index(group[0], variants, progress)
        with closing(variants.open_store(group[0])) as store:
            device, cache = variants.loaded.settings.models.device, out / "class-texts"
            encoder = models_of(manifest_of(store), device=device, roles=()).frames
            texts = {
                name: encode_classes(encoder, labelled.classes, chosen, cache=cache, progress=progress)
                for name, chosen in templates.items()
            }
            found |= ranks_by_setup(store, labelled, group, texts, progress)
    ranks = {setup.name: found[setup.name] for setup in setups}
    shared = {video.id for video in labelled.videos if all(video.id in of_video for of_video in ranks.values())}
    if not shared:
        raise UsageError("No labelled video has frames in every index that is compared.", hint="Compare fewer ways.")
    rows = compared([(name, figures_by_video(of_video), len(of_video)) for name, of_video in ranks.items()])
    lines = [*labelled.classes.broken, *(line for file in templates.values() for line in file.broken)]
    broken = tuple(SkippedRow(place, reason) for place, _, reason in (line.partition(": ") for line in lines))
    absent = [video for video in labelled.videos if video.id not in shared]
    left_out = [(each, "it has no frames in one of the indexes") for each in absent]
    left_out += [(each, f"its label '{each.label}' is none of the classes") for each in labelled.left_out.of_no_class]
    unmatched = tuple(SkippedRow(str(video.path), reason) for video, reason in left_out)
    table = ComparisonTable(rows, len(shared), broken, unmatched, tuple(failed))
    videos = (
        (video.path.as_posix(), video.label, *(of_video.get(video.id, "") for of_video in ranks.values()))
        for video in labelled.videos
    )
    return write_table(out, table, [write_csv(out / "videos.csv", ("path", "label", *ranks), videos)])


def action_setups(setups: Sequence[Setup]) -> tuple[Setup, ...]:
    """The setups, ``tau`` only in those of the pooling ``query``. Raises a UsageError if there are none of these."""
    by_query = {setup.name for setup in setups if setup.value("pooling") == "query"}
    if any(setup.value("tau") for setup in setups) and not by_query:
        raise UsageError("Tau makes a difference to the pooling 'query' alone.", hint="Add pooling=query.")
    kept = [
        Setup({axis: value for axis, value in setup.chosen.items() if axis != "tau" or setup.name in by_query})
        for setup in setups
    ]
    return tuple({setup.name: setup for setup in kept}.values())


def ranks_by_setup(
    store: VectorStore,
    labelled: actions.LabelledVideos,
    setups: Sequence[Setup],
    texts: Mapping[str, Embedding],
    progress: ReportProgress = no_progress,
) -> dict[str, dict[str, float]]:
    """The rank of each video's right class, by the setup's name and the video's id; of videos with frames alone.

    ``texts`` has the vectors of the classes, ``(classes, dim)``, by the name of the templates.
    """
    ranks: dict[str, dict[str, float]] = {setup.name: {} for setup in setups}
    for video, right, _, vectors in actions.read_frames(store, labelled, progress):
        for setup in setups:
            pooling = actions.check_pooling(setup.value("pooling", "mean"), setup.tau)
            cosines = actions.pooled(vectors, texts[setup.value("templates", "clip")], pooling, setup.tau)
            ranks[setup.name][video.id] = actions.rank_of(cosines, right)
    return ranks


def figures_by_video(ranks: Mapping[str, float]) -> QueryValues:
    """``P@1``, ``hit@3`` and ``MRR`` of each video, by the rank of its right class."""
    return {
        "P@1": {video: float(rank <= 1) for video, rank in ranks.items()},
        "hit@3": {video: float(rank <= 3) for video, rank in ranks.items()},
        "MRR": {video: 1 / rank for video, rank in ranks.items()},
    }


def check_setups(setups: Sequence[Setup], idle: Sequence[str], hint: str) -> None:
    """Raises a UsageError for a single way, or a varied ``idle`` axis; the hint says where such an axis counts."""
    for axis in idle:
        if any(setup.value(axis) for setup in setups):
            raise UsageError(f"'{axis}' makes no difference here.", hint=hint)
    if len(setups) < 2:
        raise UsageError("There is only one way; nothing to compare.", hint="Give two values or more.")


def prepare_index(setup: Setup, variants: IndexVariants, progress: ReportProgress) -> list[SkippedRow]:
    """Prepare the index for a setup; returns the videos that could not be indexed."""
    made = variants.prepare(setup, progress)
    failed = () if made is None else (*made.failed, *made.failed_before)
    return [SkippedRow(f"{setup.name}, {path}", reason) for path, reason in failed]


def write_table(out: Path, table: ComparisonTable, others: Sequence[Path] = ()) -> ComparisonTable:
    """Write ``comparison.csv`` and ``.json``; returns the table with these files after the ``others``."""
    rows: list[tuple[object, ...]] = []
    for row in table.rows:
        for metric in row.metrics:
            found = row.differences.get(metric.name)
            more = (found.value, found.interval.low, found.interval.high, found.p) if found else ("", "", "", "")
            measured = (metric.name, metric.value, metric.interval.low, metric.interval.high, metric.queries)
            rows.append((row.name, *measured, *more, row.videos))
    as_csv = write_csv(out / "comparison.csv", _HEADING, rows)
    written = replace(table, files=(*others, as_csv, out / "comparison.json"))
    write_json(out / "comparison.json", asdict(written))
    return written


def _naming(setup: Setup, progress: ReportProgress) -> ReportProgress:
    """Progress with the setup's name after each step's."""
    return lambda what, done, total: progress(f"{what}: {setup.name}", done, total)


def _differences(first: QueryValues, second: QueryValues) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for (names, before, statistic), (_, after, _) in zip(as_tables(first), as_tables(second), strict=True):
        found.update(zip(names, paired_differences(before, after, statistic), strict=True))
    return {name: found[name] for name in first}
