"""The job that gives configurations what a division rule promises, however many they are."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from guywire.db import reading, writing
from guywire.jobs import UNWATCHED, Progress

from guywire_ipam.models import SubnetDivisionRule
from guywire_ipam.services import division, vpn_clients

PROVISION = "ipam.provision"

BATCH = 100
"""How many configurations get theirs in one transaction. Others who write wait for the longer of these."""


def provision(runtime: Any, rule_id: str, progress: Progress = UNWATCHED) -> None:
    """Go through the configurations that the rule is for. Those that have everything are left alone."""
    with reading(runtime.session_factory) as session:
        rule = session.get(SubnetDivisionRule, UUID(rule_id))
        total = 0 if rule is None else division.count_configs_of(session, rule)
    done, after = 0, None
    while True:
        # How many there are may change meanwhile.
        progress.report(done, max(done, total))
        with writing(runtime.session_factory) as session:
            rule = session.get(SubnetDivisionRule, UUID(rule_id))
            if rule is None:
                return
            config_ids = division.config_ids_of(session, rule, after, BATCH)
            if not config_ids:
                return
            division.provision(session, rule, config_ids, runtime.clock())
            if rule.type == division.VPN:
                vpn_clients.follow(session, rule, config_ids)
            after = config_ids[-1]
        done += len(config_ids)
