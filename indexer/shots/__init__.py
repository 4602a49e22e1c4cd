"""Shots, and the frames that stand for them, in one pass over a video's frames."""

from indexer.shots.select import DETECTORS, STRATEGIES, DetectorName, Sampler, Sampling, Strategy, make_sampler

__all__ = ["DETECTORS", "STRATEGIES", "DetectorName", "Sampler", "Sampling", "Strategy", "make_sampler"]
