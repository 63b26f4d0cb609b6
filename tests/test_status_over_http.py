"""The status never lies, told through the public doors: operators over REST, routers at theirs, and the worker.

Many devices live through random stories at the same time, so that one list tells what became of all of them.
"""

from __future__ import annotations

import hashlib
import random

import pytest
from guywire.db import writing
from guywire.services.bootstrap import load_document
from status_oracle import ACTIVE, APPLIED, BROKEN, DEACTIVATED, ERROR, SENTENCES, Oracle

STEPS_A_STORY = 8
AT_ONCE = 80
PAGE_SIZE = 50

RADIO = {"name": "radio0", "protocol": "802.11n", "channel": 3, "channel_width": 20}
TEMPLATES = (
    {"radios": [RADIO]},
    {"radios": [RADIO | {"channel": 4}]},
    # Valid by itself, but not together with the protocol that the devices insist on.
    {"radios": [RADIO | {"protocol": "802.11ac", "channel": 36, "channel_width": 80}]},
)
DEMANDING = 2
LAYERS = (
    {},
    {"radios": [{"name": "radio0", "protocol": "802.11n", "disabled": False}]},
    {"radios": [{"name": "radio0", "protocol": "802.11n", "disabled": True}]},
)
WITHOUT_TEMPLATE = ({}, *({"radios": [RADIO | {"channel": 5} | layer["radios"][0]]} for layer in LAYERS[1:]))
"""The same layers for a device without template: a radio has to have a channel."""


class Story:
    """One device, its template and its router; what they do is told to an oracle."""

    def __init__(self, stage, name: str, mac_address: str, chance: random.Random) -> None:
        self.stage, self.admin, self.chance = stage, stage.admin, chance
        self.layer, self.template, self.is_attached = 1, 0, True
        self.variable = 0
        self.checksums: dict[object, str] = {}
        self.last_verdict = APPLIED
        self.is_watched = chance.random() < 0.4
        """Read after every step. (A read renders, so the others show what happens when nobody reads.)"""
        self.template_id = self.admin.make_template(stage.organization, name, config=TEMPLATES[0])["id"]
        self.device = self.admin.make_device(
            stage.organization, name, mac_address, templates=[self.template_id], config=LAYERS[1]
        )
        self.agent = stage.router(self.device)
        self.oracle = Oracle(desired=self.content)

    @property
    def content(self) -> object:
        """What the configuration is made of: it decides the bytes."""
        if self.is_attached and self.template == DEMANDING and self.layer != 0:
            return BROKEN
        return (self.layer, self.template if self.is_attached else None)

    # Operators

    def edit_device(self) -> None:
        self._change_device(layer=self.chance.randrange(3))

    def change_templates(self) -> None:
        self._change_device(is_attached=not self.is_attached)

    def _change_device(self, **changes: object) -> None:
        """An edit of the device itself; one that cannot be rendered is refused."""
        before = dict(vars(self))
        vars(self).update(changes)
        layers = LAYERS if self.is_attached else WITHOUT_TEMPLATE
        config = {"config": layers[self.layer], "templates": [self.template_id] if self.is_attached else []}
        status = 403 if self.oracle.lifecycle != ACTIVE else 400 if self.content == BROKEN else 200
        self.admin.patch(f"device/{self.device['id']}/", {"config": config}, status=status)
        if status != 200:
            vars(self).update(before)
            return
        self.oracle.edit(self.content)

    def edit_template(self) -> None:
        choice = self.chance.randrange(3)
        if choice == self.template:
            return
        self.template = choice
        self.admin.patch(f"template/{self.template_id}/", {"config": TEMPLATES[choice]})
        if self.is_attached:
            self.oracle.change()

    def edit_variable_of_template(self) -> None:
        """Nothing uses the variable, so the same is rendered."""
        self.variable += 1
        self.admin.patch(f"template/{self.template_id}/", {"default_values": {"unused": self.variable}})
        if self.is_attached:
            self.oracle.change()

    def edit_variable_of_device(self) -> None:
        if self.oracle.lifecycle != ACTIVE or self.content == BROKEN:
            return
        self.variable += 1
        self.admin.patch(f"device/{self.device['id']}/", {"config": {"context": {"unused": self.variable}}})
        self.oracle.edit(self.content)

    def deactivate(self) -> None:
        if self.oracle.lifecycle != ACTIVE:
            return
        self.layer, self.is_attached = 0, False
        self.admin.post(f"device/{self.device['id']}/deactivate/", status=200)
        self.oracle.deactivate(self.content)

    def activate(self) -> None:
        if self.oracle.lifecycle == ACTIVE:
            return
        self.admin.post(f"device/{self.device['id']}/activate/", status=200)
        self.oracle.activate(self.content)

    # The router

    @property
    def is_gone(self) -> bool:
        """A deactivated device is unknown at the routers' door; no other ever is."""
        return self.oracle.lifecycle == DEACTIVATED

    def poll(self) -> str | None:
        if self.is_gone:
            self.agent.poll(status=404)
            return None
        checksum = self.agent.poll()
        self.render()
        self.learn(checksum)
        return checksum

    def download(self) -> None:
        checksum = self.poll()
        if checksum is None:
            self.agent.download(status=404)
            return
        assert hashlib.md5(self.agent.download()).hexdigest() == checksum
        self.oracle.download()

    def download_at_once(self) -> None:
        """Without a poll before it."""
        if not self.is_gone:
            archive = self.agent.download()
            self.render()
            self.learn(hashlib.md5(archive).hexdigest())
            self.oracle.download()

    def report_applied(self) -> None:
        self._report(APPLIED)

    def report_error(self) -> None:
        self._report(ERROR)

    def repeat_report(self) -> None:
        """The answer got lost, or the report comes late."""
        self._report(self.last_verdict)

    def restart_agent(self) -> None:
        self.download()
        self._report(APPLIED)

    def _report(self, verdict: str) -> None:
        if self.is_gone:
            self.agent.report(verdict, status=404)
            return
        answer = self.agent.report(verdict, error_reason="no such radio")
        if self.oracle.last_served is None:
            # It speaks of what it should have, and that is made first.
            self.render()
        self.oracle.report(verdict)
        self.last_verdict = verdict
        assert answer == f"report-result: success\ncurrent-status: {self.oracle.status}\n"

    # What is checked

    def render(self) -> None:
        """Somebody made sure that nothing is stale."""
        if self.oracle.is_stale:
            self.oracle.render(self.content)

    def learn(self, checksum: str) -> None:
        """The device should have the bytes with this checksum."""
        self.compare(checksum, self.oracle.desired)

    def compare(self, checksum: str | None, content: object) -> None:
        """The same content has the same checksum each time, and no other content has it."""
        assert self.checksums.setdefault(content, checksum) == checksum
        assert len(set(self.checksums.values())) == len(self.checksums)

    def look(self) -> None:
        """Read the state, which renders what is stale."""
        state = self.admin.state(self.device)
        self.render()
        self.learn(state["desired"]["checksum"])
        assert state["status"] == self.oracle.status
        assert SENTENCES[self.oracle.why] in state["explanation"]
        assert (state["rendering_error"] is not None) == self.oracle.broken
        for stage, content in (("served", self.oracle.last_served), ("reported", self.oracle.last_reported)):
            assert (state[stage] is None) == (content is None)
            if content is not None:
                self.compare(state[stage]["checksum"], content)

    def compare_reads(self) -> None:
        """The detail and the archive say the same as the state and the poll."""
        detail = self.admin.get(f"device/{self.device['id']}/")
        self.render()
        assert detail["config"]["status"] == self.oracle.status
        assert detail["config"]["error_reason"] == ("no such radio" if self.oracle.status == ERROR else "")
        response = self.admin.request("GET", f"device/{self.device['id']}/configuration/", status=200)
        self.learn(hashlib.md5(response.body).hexdigest())

    def step(self) -> None:
        self.chance.choice(STEPS)(self)
        if self.is_watched:
            self.look()


STEPS = (
    *(Story.edit_device, Story.edit_template, Story.edit_template, Story.change_templates),
    *(Story.edit_variable_of_device, Story.edit_variable_of_template),
    *(Story.deactivate, Story.activate, Story.activate),
    *(Story.poll, Story.download, Story.download, Story.download_at_once, Story.restart_agent),
    *(Story.report_applied, Story.report_applied, Story.report_error, Story.repeat_report),
    *(Story.compare_reads,),
)


class Stage:
    """Where the stories happen."""

    def __init__(self, admin, organization, router, worker, runtime) -> None:
        self.admin, self.organization, self.router, self.worker = admin, organization, router, worker
        self.runtime = runtime
        self.elapsed = 0.0

    def play(self, count: int, seed: int) -> None:
        """Let ``count`` devices live through their stories, all at the same time."""
        chance = random.Random(seed)
        stories = {}
        for number in range(count):
            mac_address = ":".join(f"{byte:02X}" for byte in (seed * 10_000 + number).to_bytes(6))
            story = Story(self, f"s{seed}-{number}", mac_address, random.Random(f"{seed} {number}"))
            stories[story.device["id"]] = story
        for _ in range(STEPS_A_STORY):
            for story in stories.values():
                story.step()
            self.compare_list(f"s{seed}-", stories)
            if chance.random() < 0.2:
                self.edit_variable_of_organization(chance.random())
                for story in stories.values():
                    story.oracle.change()
            if chance.random() < 0.4:
                self.work()
                for story in stories.values():
                    story.render()
        for story in stories.values():
            story.look()
            story.poll()

    def compare_list(self, names: str, stories: dict[str, Story]) -> None:
        """Lists render nothing: what is stale is shown as modified."""
        shown = {}
        for page in range(1, -(-len(stories) // PAGE_SIZE) + 1):
            for row in self.admin.get("device/", name=names, page=page, page_size=PAGE_SIZE)["results"]:
                shown[row["id"]] = row["config"]["status"]
        assert shown == {id: story.oracle.status for id, story in stories.items()}

    def edit_variable_of_organization(self, value: float) -> None:
        """As ``guywire bootstrap`` does."""
        document = {"organizations": {"org1": {"context": {"unused": value}}}}
        with writing(self.runtime.session_factory) as session:
            load_document(session, self.runtime.key_ring, document, self.runtime.clock())

    def work(self) -> None:
        """The worker renders all that is stale."""
        self.elapsed += 10
        self.worker.run_due(self.elapsed)


@pytest.fixture
def stage(admin, organization, router, worker, runtime):
    return Stage(admin, organization, router, worker, runtime)


def test_stories_of_many_devices(stage):
    # Other ones on each database: the devices do not care, and so there are twice as many.
    stage.play(AT_ONCE, seed={"sqlite": 1, "postgresql": 2}[stage.runtime.engine.dialect.name])


@pytest.mark.long
def test_ten_thousand_stories(stage):
    for seed in range(101, 101 + 10_000 // AT_ONCE + 1):
        stage.play(AT_ONCE, seed)
