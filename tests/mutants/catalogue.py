"""The mutants: which rule, what is switched off, how, and the tests that must fail then.

Rules are numbered as in the docstring of `guard/core/session.py`; `+` is what the design adds to them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` occurs exactly once in `guard/core/{module}.py`; each of `tests` is `{file}::{function}` in tests/core."""

    rule: str
    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]


RELEASE = (
    "test_session.py::test_release_is_split_at_the_segments_end_so_that_the_word_after_a_flagged_claim_does_not_leak"
)

MUTANTS = (
    Mutant(
        "1",
        "release without waiting for what stands before",
        "turn",
        "self.tape.release(min(limit, self._barrier(waiting)))",
        "self.tape.release(limit)",
        (
            "test_session.py::test_checked_content_waits_for_an_earlier_reasoning_segments_slow_check",
            "test_session.py::test_guards_own_text_in_a_checked_channel_waits_for_what_stands_before_it_too",
        ),
    ),
    Mutant(
        "1",
        "release checked text before its verdict",
        "docket",
        "if entry.inline or entry.checked)",
        "if entry.inline)",
        ("test_session.py::test_checked_text_waits_for_its_slow_check",),
    ),
    Mutant(
        "1",
        "a delta is not split at the segment's end",
        "tape",
        "            if size > room:\n",
        "            if size > room and room <= 0:\n",
        (RELEASE,),
    ),
    Mutant(
        "1",
        "immediate text does not wait for inline checks",
        "docket",
        "if entry.inline or entry.checked)",
        "if entry.checked)",
        (RELEASE,),
    ),
    Mutant(
        "1",
        "a hold that expires is ignored",
        "session",
        "late, entry.pending, entry.overdue = sorted(entry.pending), set(), True",
        "late: list[str] = []",
        ("test_session.py::test_a_hold_that_expires_releases_what_was_pending_up_to_its_segment",),
    ),
    Mutant(
        "2",
        "an upstream event of any attempt acts",
        "session",
        "return attempt == self._attempt and self._ending is None",
        "return self._ending is None",
        ("test_session.py::test_an_event_of_a_later_attempt_changes_nothing",),
    ),
    Mutant(
        "2",
        "a stale event acts while the record is awaited",
        "session",
        "attempt == self._attempt and self._ending is None and self._awaiting is None",
        "attempt <= self._attempt and self._ending is None",
        ("test_session.py::test_an_event_of_an_earlier_attempt_changes_nothing",),
    ),
    Mutant(
        "2",
        "a verdict of a discarded segment acts",
        "docket",
        "        del self._entries[entry.segment.id]\n",
        "",
        ("test_session.py::test_a_verdict_of_a_discarded_segment_does_not_act",),
    ),
    Mutant(
        "2",
        "a cut discards what was kept before it",
        "turn",
        "return other.segment.id > entry.segment.id",
        "return True",
        (
            "test_session.py::test_a_slow_check_pending_on_kept_text_runs_on_when_a_later_segment_is_cut",
            "test_session.py::test_checks_of_discarded_segments_are_dropped_and_those_of_kept_ones_are_not",
        ),
    ),
    Mutant(
        "2",
        "guard's text becomes part of a segment",
        "turn",
        "self._segmenters[channel] = Segmenter(self.watch[channel].unit, self.transcripts[channel].text())",
        "self._segmenters[channel].feed(text)",
        ("test_session.py::test_guards_text_is_never_checked",),
    ),
    Mutant(
        "2",
        "a client's prefix is checked",
        "turn",
        "if start < run.start and not self",
        "if end < start and not self",
        ("test_session_turns.py::test_a_sentence_that_the_client_finished_is_not_checked_when_the_model_goes_on",),
    ),
    Mutant(
        "3",
        "a cut does not void the finish",
        "session",
        "        self._ending = self._examined = self._awaiting = self._seam = None\n",
        "        self._examined = self._awaiting = self._seam = None\n",
        ("test_session.py::test_a_finish_that_overtakes_the_last_verdict_is_void_if_its_text_is_discarded",),
    ),
    Mutant(
        "3",
        "the finish does not wait for the last verdict",
        "session",
        "self._examined is None and not self._turn.docket.waiting",
        "self._examined is None",
        ("test_session.py::test_the_finish_waits_for_the_last_verdict",),
    ),
    Mutant(
        "3",
        "there may be a second finish",
        "session",
        "        self.done = True\n",
        "        self.done = False\n",
        ("test_session.py::test_after_the_finish_nothing_does_anything",),
    ),
    Mutant(
        "4",
        "a boundary does not wait for what follows",
        "segmenter",
        "        if end == len(self._buffer):\n            return None\n",
        "        if end == len(self._buffer):\n            return end\n",
        (
            "test_segmenter.py::test_sentences",
            "test_session.py::test_however_deltas_are_cut_the_session_does_the_same",
        ),
    ),
    Mutant(
        "4",
        "an abbreviation does not wait for its number",
        "segmenter",
        "if after or len(window) == CLOSERS else None",
        "if after or len(window) == CLOSERS else False",
        ("test_segmenter.py::test_sentences",),
    ),
    Mutant(
        "5",
        "resumed before it is recorded",
        "session",
        "self._out.append(ev.Record(action.interruption))",
        "self._out += [ev.Record(action.interruption), ev.OpenAttempt(self._attempt, resume)]",
        ("test_session.py::test_no_attempt_opens_before_its_interruption_is_recorded",),
    ),
    Mutant(
        "5",
        "the record of a superseded interruption opens an attempt",
        "session",
        "if self._awaiting is None or self._awaiting[0] != event.id:",
        "if self._awaiting is None:",
        ("test_session.py::test_the_record_of_a_superseded_interruption_opens_nothing",),
    ),
    Mutant(
        "5",
        "on_store_error: stop is ignored",
        "session",
        'if event.error and self._policy.record.on_store_error == "stop":',
        "if not self._policy:",
        ("test_session.py::test_a_record_that_cannot_be_made_does_what_the_policy_says",),
    ),
    Mutant(
        "6",
        "max_per_response is ignored",
        "budget",
        "if self.interruptions >= limits.max_per_response:",
        "if self.interruptions < 0:",
        ("test_session_limits.py::test_at_the_limit_a_caveat_follows_the_claim_and_the_model_does_not_see_it",),
    ),
    Mutant(
        "6",
        "max_per_check is ignored",
        "budget",
        "if self._checks[check] >= limits.max_per_check:",
        "if self._checks[check] < 0:",
        ("test_session_limits.py::test_at_the_limit_text_may_pass_with_a_word_to_the_client",),
    ),
    Mutant(
        "6",
        "the cool-down is ignored",
        "budget",
        "if limits.cooldown_segments and self.since",
        "if limits.cooldown_segments < 0 and self.since",
        ("test_session_limits.py::test_cooldown_counts_segments_and_ends",),
    ),
    Mutant(
        "6",
        "the same claim is interrupted for ever",
        "budget",
        'return "repeated" if self.times(claim, segment) > 1 else ""',
        'return ""',
        ("test_session_limits.py::test_the_same_claim_after_a_retract_is_interrupted_visibly_once_and_then_limited",),
    ),
    Mutant(
        "6",
        "wasted tokens are not counted",
        "budget",
        "        self.wasted += tokens\n",
        "",
        ("test_budget.py::test_wasted_tokens_add_up",),
    ),
    Mutant(
        "7",
        "an interruption is an exception",
        "session",
        "        self._awaiting = action.interruption.id, resume\n",
        "        raise InterruptedError(action.interruption.id)\n",
        ("test_session.py::test_an_interruption_carries_all_that_training_needs",),
    ),
    Mutant(
        "+",
        "max_late_segments is ignored",
        "correction",
        "lateness is None or lateness > self._policy.interrupt.max_late_segments",
        "lateness is None",
        ("test_session_limits.py::test_beyond_max_late_segments_it_is_only_told",),
    ),
    Mutant(
        "+",
        "reasoning is corrected after content was sent",
        "correction",
        "lateness is None or lateness >",
        "lateness is not None and lateness >",
        ("test_session_limits.py::test_reasoning_flagged_after_content_was_sent_is_only_told",),
    ),
    Mutant(
        "+",
        "observe interrupts",
        "correction",
        'if self._policy.mode == "observe":',
        'if self._policy.mode == "off":',
        ("test_session.py::test_observe_holds_nothing_back_and_interrupts_nothing",),
    ),
    Mutant(
        "+",
        "a flagged tool call takes no other with it",
        "turn",
        'if entry.segment.channel == "tool_calls":  # text behind',
        "if not entry.segment:  # text behind",
        ("test_session_turns.py::test_a_tool_call_flagged_while_another_is_pending_drops_both",),
    ),
    Mutant(
        "+",
        "structured output is injected into",
        "correction",
        'return self._structured and entry.segment.channel == "content"',
        "return False",
        ("test_session_turns.py::test_structured_output_is_asked_for_again_from_its_start_and_never_injected_into",),
    ),
    Mutant(
        "+",
        "a stop string across a splice is missed",
        "resume",
        "return Join(stopped=self._completes_stop(self._opening))",
        "return Join()",
        ("test_session_turns.py::test_a_stop_string_across_a_splice_ends_the_choice",),
    ),
    Mutant(
        "+",
        "a re-asked answer is not joined",
        "resume",
        "overlap = _overlap(told, said)",
        "overlap = 0",
        ("test_session_turns.py::test_a_re_asked_answer_that_overlaps_is_joined",),
    ),
    Mutant(
        "+",
        "a prefilled message that is begun anew is not joined",
        "session",
        "prefilled=self._prefilled,",
        "prefilled=self._anew,",
        ("test_session_turns.py::test_an_answer_that_goes_on_from_a_prefilled_message_goes_on_exactly",),
    ),
    Mutant(
        "+",
        "a prefilled message that is begun anew counts as gone on with",
        "session",
        "if self._prefilled and (join.skip or join.astray):",
        "if self._prefilled and self._anew:",
        (
            "test_session_turns.py::test_a_prefilled_message_that_is_begun_anew_is_skipped_and_counts_as_asked_again",
            "test_session_turns.py::test_a_prefilled_message_that_is_begun_anew_and_goes_astray_does_what_the_policy_says",
        ),
    ),
    Mutant(
        "+",
        "an attempt opens with no tokens left",
        "session",
        "elif resume.max_tokens == 0:",
        "elif resume.max_tokens == -1:",
        ("test_session_turns.py::test_no_tokens_left_ends_the_choice_with_length_after_the_record",),
    ),
)
