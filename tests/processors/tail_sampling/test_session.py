"""`session_keep`: the turns of a conversation in which something went wrong."""

from __future__ import annotations

from typing import Any

from .support import ALWAYS, ERRORS, Run, attributes_of, found, policy, span, trace_id

KEY = "gen_ai.conversation.id"


def keep(**block: Any) -> dict[str, Any]:
    return policy(
        "session_keep", "conversation", **{"triggers": ["errors"], "keep_for": "30m", **block}
    )


def turn(name: str, session: str = "c-1", **fields: Any) -> Any:
    return span(name, name, {KEY: session}, **fields)


def test_turns_that_wait_and_turns_that_follow_are_kept() -> None:
    run = Run(ERRORS, keep())
    run.send(turn("1"))
    run.wait(10)
    run.send(turn("2"), turn("other", "c-2"))
    run.wait(5)
    run.send(turn("3", status="error"))
    run.wait(1)
    run.send(turn("2b"))
    run.wait(20)
    run.now += 29 * 60 * 10**9
    run.send(turn("4"))
    run.wait(10)
    run.now += 60 * 10**9
    run.send(turn("5"))
    run.wait(10)
    assert [one.name for one in run.spans] == ["3", "2b", "4"]


def test_a_pending_turn_is_kept_when_a_later_one_fails_before_its_decision() -> None:
    run = Run(ERRORS, keep(), decision_wait_after_root_received="1s")
    run.send(turn("2", parent="long"))
    run.wait(5)
    run.send(turn("3", status="error"))
    run.wait(10)
    assert [one.name for one in run.spans] == ["3", "2"]


def test_a_kept_turn_does_not_prolong_the_mark_unless_a_trigger_fires() -> None:
    run = Run(ERRORS, keep(keep_for="1m"), decision_wait="1s")
    run.send(turn("1", status="error"))
    run.wait(1)
    kept = []
    for i in range(5):
        run.now += 25 * 10**9
        run.send(turn(f"t{i}"))
        kept.append(len(run.wait(1)))
    assert kept == [1, 1, 0, 0, 0]


def test_any_marked_session_of_a_trace_suffices_and_the_resource_may_name_it() -> None:
    run = Run(ERRORS, keep(), decision_wait="1s")
    run.send(turn("1", status="error"))
    run.wait(1)
    run.send(turn("2", "c-2"), span("2", "2b", {KEY: "c-1"}))
    run.send(span("3", "3"), resource={KEY: "c-1"})
    run.send(span("4", "4"), resource={KEY: "c-9"})
    run.send(span("5", "5", {KEY: ""}))
    run.wait(1)
    assert sorted(one.name for one in run.spans) == ["1", "2", "2b", "3"]


def test_the_oldest_mark_is_forgotten_first() -> None:
    run = Run(ERRORS, keep(max_sessions=2), decision_wait="1s")
    for session in ("a", "b", "c"):
        run.send(turn(f"{session}1", session, status="error"))
        run.wait(1)
    run.send(turn("a2", "a"), turn("b2", "b"), turn("c2", "c"))
    run.wait(1)
    assert run.kept("a2", "b2", "c2") == ["b2", "c2"]


def test_marks_are_certain_when_their_triggers_are() -> None:
    limit = policy("rate_limiting", "limit", spans_per_second=100)
    for triggers, count in ((["errors"], 1.0), (["limit"], None)):
        run = Run(
            ERRORS, limit, keep(triggers=triggers), record={"attributes": True}, decision_wait="1s"
        )
        run.send(turn("1", status="error"))
        run.wait(1)
        run.now += 10**9
        run.send(turn("2"), *[span("2", f"x{i}") for i in range(300)])
        run.wait(1)
        (told,) = [
            attributes
            for one in run.spans
            if one.trace_id == trace_id("2")
            and "sampling.reason" in (attributes := attributes_of(one))
        ]
        assert (told["sampling.reason"], told.get("sampling.adjusted_count")) == ("session", count)


def test_a_trigger_inside_and_counts_by_the_outer_name() -> None:
    both = policy("and", "both", and_sub_policy=[ERRORS])
    run = Run(both, keep(triggers=["both"]), decision_wait="1s")
    run.send(turn("1", status="error"))
    run.wait(1)
    run.send(turn("2"))
    assert run.wait(1) == ["2"]


def test_triggers_must_exist() -> None:
    lines = [line for line in found(ALWAYS, keep()) if not line.startswith("!")]
    assert lines == [
        'policies[1].session_keep.triggers[0]: failed to create policy evaluator for "conversation": '
        "there is no policy named 'errors'"
    ]
    assert any("expected at least one name" in line for line in found(keep(triggers=[])))
