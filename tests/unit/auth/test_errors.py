import inspect
from pathlib import Path

from auth import errors


def test_every_error_is_drawn_in_the_tree_and_reads_as_a_sentence() -> None:
    classes = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.AuthError)]
    drawn = errors.__doc__ or ""
    assert [one.__name__ for one in classes if one.__name__ not in drawn] == []
    made = [
        errors.LoginFailed(),
        errors.TooManyLogins(),
        errors.LoginThrottled(7.0),
        errors.InvalidToken("expired"),
        errors.Forbidden("read"),
        errors.DatabaseUnavailable(),
        errors.BadTokenRequest("name", "letters"),
        errors.TooManyTokens(3),
        errors.UserExists("ada"),
        errors.UserNotFound("ada"),
        errors.BadUserName("a b", "letters"),
        errors.BadPassword("8 characters"),
        errors.StateDirInsecure(Path("/s"), "is open", "run chmod"),
        errors.StateDirUnusable(Path("/s"), "no space left"),
        errors.SchemaTooNew("2", "1"),
        errors.BadDatabaseUrl("sqlite"),
    ]
    assert {type(one) for one in made} == set(classes) - {errors.AuthError, errors.StateDirError}
    assert all(len(str(one).split()) > 2 for one in made)


def test_facts_are_attributes() -> None:
    assert errors.InvalidToken("expired").reason == "expired"
    assert errors.SchemaTooNew("2", "1").found == "2"
    assert errors.DatabaseUnavailable(2.5, "locked").retry_after_s == 2.5
    assert "locked" not in str(errors.DatabaseUnavailable(2.5, "locked"))
