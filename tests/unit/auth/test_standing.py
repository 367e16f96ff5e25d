from datetime import UTC, datetime

from auth.revocations import Snapshot, UserState
from auth.standing import Standing
from auth.tokens import Claims
from auth.users import User

NOW = 1_800_000_000


def token(generation: int = 1, issued_at: int = NOW, user_id: str = "ada") -> Claims:
    return Claims("t", user_id, user_id, None, None, (), generation, issued_at, NOW + 1000)


def user(generation: int = 1, disabled: bool = False) -> User:
    return User("ada", "ada", disabled, generation, datetime.now(UTC))


def standing(taken_at: float = NOW, revoked: frozenset[str] = frozenset(), **states: UserState) -> Standing:
    made = Standing()
    made.apply(made.begin(), Snapshot(states, revoked), taken_at)
    return made


def test_before_the_first_snapshot_a_signature_is_enough() -> None:
    fresh = Standing()
    assert not fresh.known
    assert not fresh.is_void(token())
    fresh.revoke(token())
    assert fresh.is_void(token())


def test_known_users() -> None:
    made = standing(ada=UserState(2, False), bob=UserState(1, True))
    assert made.known
    assert not made.is_void(token(2, NOW - 500))
    assert made.is_void(token(1))
    assert made.is_void(token(1, user_id="bob"))


def test_revoked_tokens() -> None:
    assert standing(revoked=frozenset({"t"}), ada=UserState(1, False)).is_void(token())
    assert not standing(revoked=frozenset({"u"}), ada=UserState(1, False)).is_void(token())


def test_an_unknown_user_counts_only_if_newer_than_the_snapshot() -> None:
    # a token says whole seconds: issued at NOW may be up to NOW + 0.999
    for taken_at, void in [
        (NOW - 5, False),
        (NOW + 0.9, False),
        (NOW + 1.0, False),
        (NOW + 1.001, True),
        (NOW + 99, True),
    ]:
        assert standing(taken_at).is_void(token()) is void


def test_a_generation_that_the_snapshot_does_not_know_yet() -> None:
    assert not standing(NOW + 0.5, ada=UserState(1, False)).is_void(token(2))
    assert standing(NOW + 5, ada=UserState(1, False)).is_void(token(2))  # as after a restored backup


def test_a_user_seen_at_a_log_in_counts_at_once() -> None:
    made = standing(NOW + 5, ada=UserState(1, False))
    made.see(user(generation=2))
    assert not made.is_void(token(2))
    assert made.is_void(token(1))


def test_a_snapshot_that_began_before_the_log_in_does_not_undo_it() -> None:
    made = Standing()
    begun = made.begin()
    made.see(user(generation=2))
    made.apply(begun, Snapshot({"ada": UserState(1, False)}, frozenset()), NOW + 5)
    assert made.is_void(token(1))
    assert not made.is_void(token(2))


def test_a_snapshot_that_began_after_the_log_in_decides() -> None:
    made = Standing()
    made.see(user(generation=1))
    made.apply(made.begin(), Snapshot({}, frozenset()), NOW + 5)
    assert made.is_void(token(1))  # removed


def test_a_newer_generation_of_a_snapshot_under_way_wins() -> None:
    made = Standing()
    begun = made.begin()
    made.see(user(generation=1))
    made.apply(begun, Snapshot({"ada": UserState(2, False)}, frozenset()), NOW)
    assert made.is_void(token(1))


def test_a_user_enabled_again_may_use_his_token_at_once() -> None:
    made = standing(ada=UserState(1, True))
    made.see(user(generation=1))
    assert not made.is_void(token())


def test_snapshots_out_of_order() -> None:
    made = Standing()
    first, second = made.begin(), made.begin()
    made.apply(second, Snapshot({"ada": UserState(2, False)}, frozenset()), NOW)
    made.apply(first, Snapshot({"ada": UserState(1, False)}, frozenset()), NOW)
    assert made.is_void(token(1))


def test_a_log_out_here_outlives_snapshots_that_do_not_know_it() -> None:
    made = standing(ada=UserState(1, False))
    made.revoke(token())
    made.apply(made.begin(), Snapshot({"ada": UserState(1, False)}, frozenset()), NOW + 999)
    assert made.is_void(token())
