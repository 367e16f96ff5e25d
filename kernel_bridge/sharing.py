"""With whom a session is shared: the list as it would be after a request. Pure; API.md, `share_session`."""

from kernel_bridge import hop
from kernel_bridge.errors import InvalidArgument, LimitExceeded
from kernel_bridge.record import SessionRecord
from kernel_bridge.results import Share


def shared(record: SessionRecord, asked: hop.ShareSession, most: int) -> list[Share]:
    """A user is let in, or may do something else from now on; who is there already keeps his place.

    Raises InvalidArgument (the owner), LimitExceeded (shares_per_session, `most`).
    """
    if asked.user_id == record.owner:
        raise InvalidArgument("user", "another user than the owner of the session")
    others = [share for share in record.shares if share.user_id != asked.user_id]
    if len(others) >= most:
        raise LimitExceeded("shares_per_session", most)
    shares = [*others, Share(asked.user_id, asked.user, asked.access)]
    if len(others) < len(record.shares):
        places = [share.user_id for share in record.shares]
        shares.sort(key=lambda share: places.index(share.user_id))
    return shares


def leaving(record: SessionRecord, asked: hop.UnshareSession) -> list[Share]:
    """Who is let in no longer. Raises InvalidArgument: it is not shared with such a user."""
    name = asked.user.lower()
    # The name of a removed user can be another's by now: then both are meant
    found = [share for share in record.shares if asked.user == share.user_id or name == share.user.lower()]
    if not found:
        raise InvalidArgument("user", "the name of a user with whom the session is shared")
    return found
