"""The status never lies: ten thousand stories of one configuration, each told to the rule and to a naive oracle."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from guywire.services import status
from hypothesis import given, settings
from hypothesis import strategies as st
from status_oracle import APPLIED, BROKEN, ERROR, MODIFIED, SENTENCES, Oracle

TEN_THOUSAND = settings(max_examples=10_000, derandomize=True, database=None, deadline=None)
CONTENTS = ("", "a", "b", "c")
EMPTY = CONTENTS[0]
START = datetime(2026, 1, 1, tzinfo=UTC)
CULPRIT = uuid.UUID(int=1)


@dataclass
class Row:
    """The facts of one configuration, as a new row holds them."""

    inputs_version: int = 1
    rendered_version: int = 0
    render_error: str | None = None
    render_error_template_id: uuid.UUID | None = None
    checksum: str | None = None
    digest: str | None = None
    generation: int = 0
    generated_at: datetime | None = None
    served_checksum: str | None = None
    served_generation: int | None = None
    served_at: datetime | None = None
    reported_checksum: str | None = None
    reported_generation: int | None = None
    reported_at: datetime | None = None
    reported_status: str | None = None
    error_reason: str = ""
    overtaken: bool = False
    lifecycle: str = "active"
    status: str = "modified"


class Story:
    """Does to facts what the services do, and tells the oracle of it."""

    def __init__(self) -> None:
        self.facts = Row()
        self.content = "a"
        self.packer = 1
        """The version of the library that compresses archives: it decides checksums, but not by itself."""
        self.steps = 0
        self.begun: tuple[int, str] | None = None
        """A rendering that has read its version and is still running."""
        self.last_verdict = APPLIED
        self._keep(1, "a")
        self.oracle = Oracle(desired=self.facts.checksum)

    # Operators

    def edit_device(self, choice: int) -> None:
        """Another own configuration, or an earlier one again: rendered in the transaction of the edit."""
        if self.oracle.lifecycle != "active":
            return  # 403
        self._edit(CONTENTS[choice % 4])

    def edit_template(self, choice: int) -> None:
        """Rendered later, by whoever comes first. It may be impossible to render."""
        self.facts.inputs_version += 1
        self.oracle.change()
        if self.oracle.lifecycle == "active":
            self.content = (*CONTENTS, BROKEN)[choice % 5]

    def edit_unused_variable(self, choice: int) -> None:
        """Renders the same."""
        self.facts.inputs_version += 1
        self.oracle.change()

    def upgrade(self, choice: int) -> None:
        """Everything is rendered again, and another zlib compresses the archives."""
        self.packer += 1
        self.edit_unused_variable(choice)

    def deactivate(self, choice: int) -> None:
        if self.oracle.lifecycle != "active":
            return  # 404
        emptied = self._render_now(EMPTY)
        status.record_deactivation(self.facts, emptied)
        self.oracle.deactivate(self.facts.checksum)

    def activate(self, choice: int) -> None:
        if self.oracle.lifecycle == "active":
            return  # 404
        self._render_now(CONTENTS[choice % 2])
        status.record_activation(self.facts)
        self.oracle.activate(self.facts.checksum)

    # The renderer

    def render(self, choice: int) -> None:
        if status.is_stale(self.facts):
            self._finish(self.facts.inputs_version, self.content)

    def begin_rendering(self, choice: int) -> None:
        """A worker reads the version and the inputs. Whatever happens now happens while it renders."""
        self.begun = (self.facts.inputs_version, self.content)

    def end_rendering(self, choice: int) -> None:
        """It may have read the inputs in a newer version than the number says, never in an older one."""
        if self.begun is not None:
            version, content = self.begun
            self._finish(version, content if choice % 2 else self.content)
            self.begun = None

    # The router

    def poll(self, choice: int) -> None:
        if self.oracle.lifecycle != "deactivated":
            self.render(choice)

    def download(self, choice: int) -> None:
        if self.oracle.lifecycle == "deactivated":
            return  # 404
        self.render(choice)
        is_news = self.facts.served_checksum != self.facts.checksum
        assert status.record_served(self.facts, self.now) == is_news
        self.oracle.download()
        if is_news:
            assert self.facts.served_at == self.now
        assert self.facts.served_generation is not None

    def report_applied(self, choice: int) -> None:
        self._report(APPLIED)

    def report_error(self, choice: int) -> None:
        self._report(ERROR)

    def lose_report(self, choice: int) -> None:
        """The router's report does not arrive, so it forgets what it has and does everything again."""
        self.download(choice)

    def repeat_report(self, choice: int) -> None:
        """The answer got lost: the router says the same again. It may arrive late, after other things happened."""
        self._report(self.last_verdict)

    def restart_agent(self, choice: int) -> None:
        self.download(choice)
        self._report(APPLIED)

    # What these are made of

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.steps)

    def _edit(self, content: str) -> None:
        self._render_now(content)
        self.oracle.edit(self.facts.checksum)

    def _render_now(self, content: str) -> bool:
        self.content = content
        self.facts.inputs_version += 1
        return self._keep(self.facts.inputs_version, content)

    def _finish(self, version: int, content: str) -> None:
        if version > self.facts.rendered_version:
            if content == BROKEN:
                status.record_failed(self.facts, version, "impossible", CULPRIT)
            else:
                self._keep(version, content)
        self.oracle.render(BROKEN if content == BROKEN else self.facts.checksum, read=version)

    def _keep(self, version: int, content: str) -> bool:
        packed, (before, generation) = f"{content}.{self.packer}", (self.facts.checksum, self.facts.generation)
        changed = status.record_rendered(self.facts, version, packed, content, self.now)
        # As long as the content is the same, so are the bytes, whatever would pack them now.
        expected = (before, generation) if before and before.startswith(f"{content}.") else (packed, generation + 1)
        assert (self.facts.checksum, self.facts.generation) == expected
        assert changed == (before != expected[0])
        return changed

    def _report(self, verdict: str) -> None:
        if self.oracle.lifecycle == "deactivated":
            return  # 404
        status.record_reported(self.facts, verdict, f"reason {self.steps}", self.now)
        self.oracle.report(verdict)
        self.last_verdict = verdict
        assert self.facts.reported_at == self.now
        assert self.facts.error_reason == ("" if verdict == APPLIED else f"reason {self.steps}")

    def step(self, number: int) -> None:
        """Do one thing; ``number`` says which, and how."""
        self.steps += 1
        STEPS[number % len(STEPS)](self, number // len(STEPS))
        self.check()

    def check(self) -> None:
        facts, oracle = self.facts, self.oracle
        assert status.status_of(facts) == oracle.status
        assert status.is_stale(facts) == oracle.is_stale
        assert facts.checksum == oracle.desired
        assert (facts.render_error is not None) == oracle.broken
        assert (facts.render_error_template_id is not None) == oracle.broken
        if not oracle.is_stale:
            # The copy for lists and filters. (Of what is stale they know that it cannot be relied on.)
            assert facts.status == oracle.status
        assert SENTENCES[oracle.why] in status.explanation_of(facts)


STEPS = (
    Story.download,
    Story.report_applied,
    Story.edit_device,
    Story.edit_template,
    Story.render,
    Story.report_error,
    Story.poll,
    Story.edit_unused_variable,
    Story.begin_rendering,
    Story.end_rendering,
    Story.repeat_report,
    Story.restart_agent,
    Story.lose_report,
    Story.deactivate,
    Story.activate,
    Story.upgrade,
)


@TEN_THOUSAND
@given(st.binary(min_size=1, max_size=30))
def test_any_story_ends_with_the_status_that_its_history_justifies(numbers):
    story = Story()
    for number in numbers:
        story.step(number)


class HonestStory(Story):
    """A router that does one thing after the other, tells the truth, and may lose reports but not reorder them.

    It is the stock agent: it downloads when the checksum is not the one that it knows, applies, reports; when the
    report gets lost it forgets the checksum, after a failure it remembers it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runs = self.known = self.in_hand = self.verdict = None

    def work(self, choice: int) -> None:
        """The next thing that an agent does."""
        if self.verdict is not None:
            self._send_report(arrives=choice % 4 != 0, answered=choice % 4 > 1)
        elif self.in_hand is not None:
            self.verdict = ERROR if choice % 3 == 0 else APPLIED
            if self.verdict == APPLIED:
                self.runs = self.in_hand
        elif self.oracle.lifecycle != "deactivated":
            self.poll(choice)
            if self.facts.checksum != self.known:
                self.download(choice)
                self.in_hand = self.facts.checksum

    def _send_report(self, arrives: bool, answered: bool) -> None:
        if arrives:
            self._report(self.verdict)
        self.known = self.in_hand if arrives and answered else None
        self.in_hand = self.verdict = None

    def check(self) -> None:
        super().check()
        if status.status_of(self.facts) == APPLIED:
            assert self.runs == self.facts.checksum
        if status.status_of(self.facts) == ERROR:
            assert self.known in (self.facts.checksum, None)

    def step(self, number: int) -> None:
        self.steps += 1
        HONEST_STEPS[number % len(HONEST_STEPS)](self, number // len(HONEST_STEPS))
        self.check()

    def come_to_rest(self) -> None:
        """Nobody edits any more, nothing gets lost, the router does what it can."""
        if self.content == BROKEN:
            self._edit(EMPTY)
        self.render(0)
        for _ in range(6):
            self.work(2)


HONEST_STEPS = (
    HonestStory.work,
    HonestStory.work,
    HonestStory.work,
    HonestStory.edit_device,
    HonestStory.edit_template,
    HonestStory.edit_unused_variable,
    HonestStory.render,
    HonestStory.begin_rendering,
    HonestStory.end_rendering,
    HonestStory.deactivate,
    HonestStory.activate,
    HonestStory.upgrade,
)


@TEN_THOUSAND
@given(st.binary(min_size=1, max_size=30))
def test_applied_means_that_the_router_runs_it_and_a_router_left_alone_gets_there(numbers):
    story = HonestStory()
    for number in numbers:
        story.step(number)
    story.come_to_rest()
    assert status.status_of(story.facts) in (APPLIED, ERROR, "deactivated")


# The rules one by one, in the words of docs/architecture


def served(*contents: str, reported: str | None = None) -> Row:
    """Facts after each of these was rendered and downloaded, and the last one reported."""
    facts = Row()
    for content in contents:
        edit(facts, content)
        status.record_served(facts, START)
    if reported is not None:
        status.record_reported(facts, reported, None, START)
    return facts


def edit(facts: Row, content: str) -> None:
    facts.inputs_version += 1
    status.record_rendered(facts, facts.inputs_version, content, content, START)


def test_an_edit_between_download_and_report_stays_modified():
    facts = served("a")
    edit(facts, "b")
    status.record_reported(facts, APPLIED, None, START)
    assert status.status_of(facts) == MODIFIED


def test_an_edit_undone_before_anyone_downloaded_is_applied_again_at_once():
    facts = served("a", reported=APPLIED)
    edit(facts, "b")
    edit(facts, "a")
    assert status.status_of(facts) == APPLIED


def test_after_a_download_of_b_a_must_be_fetched_and_reported_anew():
    facts = served("a", reported=APPLIED)
    edit(facts, "b")
    status.record_served(facts, START)
    edit(facts, "a")
    assert status.status_of(facts) == MODIFIED
    status.record_served(facts, START)
    assert status.status_of(facts) == MODIFIED
    status.record_reported(facts, APPLIED, None, START)
    assert status.status_of(facts) == APPLIED


def test_a_report_without_any_download_is_about_the_current_configuration():
    facts = served()
    edit(facts, "a")
    status.record_reported(facts, APPLIED, None, START)
    assert status.status_of(facts) == APPLIED
    edit(facts, "b")
    assert status.status_of(facts) == MODIFIED


def test_what_is_stale_is_not_known_to_be_applied():
    facts = served("a", reported=APPLIED)
    facts.inputs_version += 1
    assert status.status_of(facts) == MODIFIED
    status.record_rendered(facts, facts.inputs_version, "a", "a", START)
    assert status.status_of(facts) == APPLIED


def test_an_upgrade_that_compresses_otherwise_changes_nothing():
    facts = served("a", reported=APPLIED)
    facts.inputs_version += 1
    assert not status.record_rendered(facts, facts.inputs_version, "packed otherwise", "a", START)
    assert (facts.checksum, facts.generation, facts.status) == ("a", 1, APPLIED)


def test_an_error_belongs_to_the_configuration_that_was_served():
    facts = served("a", reported=ERROR)
    assert (status.status_of(facts), facts.error_reason) == (ERROR, "Reason not reported by the device.")
    edit(facts, "b")
    assert status.status_of(facts) == MODIFIED
    edit(facts, "a")
    assert status.status_of(facts) == ERROR


def test_a_long_reason_is_kept_as_far_as_there_is_room():
    facts = served("a")
    status.record_reported(facts, ERROR, "x" * 1024, START)
    assert facts.error_reason == "x" * 1024
    status.record_reported(facts, ERROR, "x" * 1025, START)
    assert facts.error_reason == "x" * 1012 + "\n[truncated]"


@pytest.mark.parametrize("verdict", [APPLIED, ERROR])
def test_deactivating_ends_when_the_empty_configuration_is_reported(verdict):
    facts = served("a", reported=APPLIED)
    edit(facts, EMPTY)
    status.record_deactivation(facts, emptied=True)
    status.record_reported(facts, APPLIED, None, START)
    assert status.status_of(facts) == "deactivating", "this report was about the configuration from before"
    status.record_served(facts, START)
    assert status.status_of(facts) == "deactivating"
    status.record_reported(facts, verdict, None, START)
    assert status.status_of(facts) == "deactivated"


def test_deactivating_ends_with_any_report_of_a_device_that_never_downloaded():
    facts = served()
    edit(facts, "a")
    edit(facts, EMPTY)
    status.record_deactivation(facts, emptied=True)
    assert status.status_of(facts) == "deactivating"
    status.record_reported(facts, ERROR, None, START)
    assert status.status_of(facts) == "deactivated"


def test_a_device_that_has_nothing_is_deactivated_at_once():
    facts = served()
    edit(facts, EMPTY)
    status.record_deactivation(facts, emptied=False)
    assert status.status_of(facts) == "deactivated"


def test_a_device_that_still_has_the_empty_configuration_from_last_time_is_deactivated_at_once():
    facts = served(EMPTY, reported=APPLIED)
    status.record_deactivation(facts, emptied=False)
    status.record_activation(facts)
    edit(facts, "a")
    edit(facts, EMPTY)
    # It will see the checksum that it knows, so it will not say anything any more.
    status.record_deactivation(facts, emptied=True)
    assert status.status_of(facts) == "deactivated"


def test_activating_a_device_that_never_reported_gives_modified():
    facts = served(EMPTY)
    status.record_deactivation(facts, emptied=False)
    status.record_activation(facts)
    assert status.status_of(facts) == MODIFIED


def test_the_error_of_a_rendering_can_be_stored_whatever_it_quotes():
    facts = served("a")
    status.record_failed(facts, 2, "no such path: a\0b\ud800c", None)
    assert facts.render_error == "no such path: a\ufffdb?c"


def test_what_cannot_be_rendered_leaves_the_last_good_archive_in_service():
    facts = served("a", reported=APPLIED)
    facts.inputs_version += 1
    status.record_failed(facts, facts.inputs_version, "impossible", CULPRIT)
    assert (facts.checksum, facts.status, status.is_stale(facts)) == ("a", MODIFIED, False)
    assert "impossible" in status.explanation_of(facts)
    edit(facts, "a")
    assert (facts.status, facts.render_error, facts.render_error_template_id) == (APPLIED, None, None)
