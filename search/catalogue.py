"""What there is to search: the committed videos of an index as of one instant, and digests of that state."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath

from indexer.core.errors import QueryError
from indexer.core.text import fold
from indexer.core.types import ModalityName, Space, Video
from indexer.modalities.registry import modality_names, space_of
from indexer.models.base import Fingerprint
from indexer.store.base import Commit, Manifest, VectorStore
from search.modalities import how_to_add
from search.query.filters import BUILT_IN_FACETS, DESCRIPTORS, Filters


@dataclass(frozen=True)
class Catalogue:
    """The commits of an index in any state (only the committed ones are searched), and its manifest."""

    commits: Mapping[str, Commit]
    manifest: Manifest | None = None

    @classmethod
    def read(cls, store: VectorStore) -> Catalogue:
        """The catalogue of a store as it is now."""
        return cls(store.commits(), store.read_manifest())

    @cached_property
    def videos(self) -> Mapping[str, Video]:
        """Every searchable video by id."""
        return {key: commit.video for key, commit in self.commits.items() if commit.is_searchable}

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of the searchable videos."""
        return frozenset(self.videos)

    @cached_property
    def counts(self) -> Mapping[ModalityName, int]:
        """How many records of each modality the searchable videos have; modalities without any are absent.

        So are modalities that are not registered: nothing is known of them but their name.
        """
        counts: Counter[ModalityName] = Counter()
        for key in self.videos:
            states = self.commits[key].modalities
            counts.update({name: states[name].count for name in modality_names() if name in states})
        return +counts

    @cached_property
    def facet_names(self) -> frozenset[str]:
        """Every name, folded, that some video can be filtered by."""
        own = {fold(name) for video in self.videos.values() for name in (*video.facets, *video.descriptors)}
        return frozenset(own.union(BUILT_IN_FACETS))

    @cached_property
    def indexed_at(self) -> float:
        """When the last video was indexed, in seconds since 1970; 0 if that is unknown."""
        times = [0.0]
        for commit in self.commits.values():
            with suppress(ValueError, OverflowError):
                times.append(datetime.fromisoformat(commit.indexed_at).timestamp())
        return max(times)

    def modalities(self, space: Space) -> frozenset[ModalityName]:
        """The modalities of a space that have records."""
        return frozenset(name for name in self.counts if space_of(name) == space)

    def fingerprint(self, space: Space) -> Fingerprint | None:
        """The model that a space was filled with; None if the index does not say."""
        role = "sounds" if space == "audio" else space
        _, fingerprint = self.manifest.models.get(role, ("", None)) if self.manifest else ("", None)
        return fingerprint

    def accepted(self, filters: Filters) -> frozenset[str]:
        """The ids of the videos that meet the filters.

        Raises:
            QueryError: a condition names a facet that no video has.
        """
        if not filters:
            return self.ids
        for condition in filters.facets:
            self.facet_named(condition.name)
        return frozenset(key for key, video in self.videos.items() if filters.accepts(video))

    def find(self, named: str) -> Video:
        """The video with this id, at this path, or whose path ends so.

        Raises:
            QueryError: there is no such video, or several.
        """
        if named in self.videos:
            return self.videos[named]
        path, parts = expanded(named), PurePath(named).parts
        paths = {
            key: {video.path, *(place.path for place in self.commits[key].locations)}
            for key, video in self.videos.items()
        }
        found = [key for key, own in paths.items() if path in own] or [
            key for key, own in paths.items() if any(one.parts[-len(parts) :] == parts for one in own)
        ]
        if not found:
            raise QueryError(f"There is no video '{named}' in this index.", hint="Give its path as indexed, or its id.")
        if len(found) > 1:
            places = " and ".join(sorted(str(self.videos[key].path) for key in found)[:2])
            raise QueryError(f"'{named}' could be {places}.", hint="Give more of the path.")
        return self.videos[found[0]]

    def facet_named(self, name: str) -> str:
        """The folded name of a facet that some video has.

        Raises:
            QueryError: no video has it; the hint names the nearest facet, or says how videos get this one.
        """
        folded = fold(name)
        if folded in self.facet_names:
            return folded
        if folded in DESCRIPTORS:
            raise QueryError(f"The {folded} of no video here is known.", hint=_how_to_know(folded))
        nearest = difflib.get_close_matches(folded, self.facet_names, n=1, cutoff=0.0)
        raise QueryError(f"No video here has a fact called '{name}'.", hint=f"Did you mean '{nearest[0]}'?")


def index_signature(catalogue: Catalogue, *others: object) -> str:
    """A digest that changes when the index or the version of this program does, or one of ``others``."""
    return _digest(models_signature(catalogue, *others), sorted(content_signatures(catalogue).items()))


def models_signature(catalogue: Catalogue, *others: object) -> str:
    """A digest of the index's models, the version of this program, and ``others``, whatever the videos are."""
    try:
        own_version = version("sceneseek")
    except PackageNotFoundError:
        own_version = "not installed"
    return _digest(own_version, sorted(catalogue.manifest.models.items()) if catalogue.manifest else [], others)


def content_signatures(catalogue: Catalogue) -> Mapping[str, str]:
    """For each searchable video a digest that changes when what the index holds of it does."""
    return {key: _content_signature(catalogue.commits[key]) for key in catalogue.videos}


def _content_signature(commit: Commit) -> str:
    """Texts edited beside a video may keep model and count, so the sidecars and the time of indexing count too."""
    held = sorted((name, state.fingerprint, state.count) for name, state in commit.modalities.items())
    return _digest(commit.sidecars, commit.indexed_at, held)


def _digest(*facts: object) -> str:
    return hashlib.blake2b(repr(facts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _how_to_know(descriptor: str) -> str:
    if descriptor == "language":
        return f"Whisper tells it (models.speech), and so do subtitles called NAME.en.srt. {how_to_add('speech')}"
    if descriptor == "speech_ratio":
        return how_to_add("speech")
    return "Files without sound have no loudness, and files without a picture no cuts; older indexes know neither."


def expanded(named: str) -> Path:
    """The absolute path, with ``~`` resolved if it names a known home folder."""
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError:
        return Path(named).absolute()
