"""Sampling: many schedules of a world, chosen by strategies that find different things."""

from longpin.runner.sampling.campaign import stress
from longpin.runner.sampling.result import Campaign, CampaignReason, FailingRun, StrategyRow

__all__ = ["Campaign", "CampaignReason", "FailingRun", "StrategyRow", "stress"]
