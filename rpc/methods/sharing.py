"""Methods that let other users into a session."""

from auth.errors import DatabaseUnavailable
from kernel_bridge import hop, results
from kernel_bridge.errors import LimitExceeded
from rpc.context import Context
from rpc.errors import InvalidParams
from rpc.messages import ShareSessionParams, UnshareSessionParams
from rpc.registry import method


@method(
    "share_session",
    params=ShareSessionParams,
    result=results.SessionShares,
    scope="manage",
    raises=(LimitExceeded, DatabaseUnavailable),
)
async def share_session(context: Context, params: ShareSessionParams) -> hop.Answer[results.SessionShares]:
    """Let another user into a session, or change what he may do there. Only its owner can do so.

    With `read` he sees cells and output; with `write` he runs code and all that belongs to it, as the same user of the
    machine as the owner. Closing, deleting and sharing stay with the owner. He finds it by list_sessions.
    Raises InvalidParams (`user`), DatabaseUnavailable, LimitExceeded (shares_per_session), AccessDenied.
    """
    session = context.session(params.session)
    user = await context.services.authenticator.find_user(params.user)
    if user is None:
        raise InvalidParams("user", "the name of a user")
    answer = await context.ask(
        hop.ShareSession(
            caller=context.caller,
            request_id=context.request_id,
            session=session,
            user_id=user.id,
            user=user.name,
            access=params.access,
        )
    )
    context.record("session_shared", session=session, shared_with=user.id, access=params.access)
    return answer


@method("unshare_session", params=UnshareSessionParams, result=results.SessionShares, scope="manage")
async def unshare_session(context: Context, params: UnshareSessionParams) -> hop.Answer[results.SessionShares]:
    """Let a user in no longer: his polls and subscriptions there end at once. Cells that he has queued go on.

    It needs no database, and works for users who were removed. Raises InvalidParams (`user`), AccessDenied.
    """
    session = context.session(params.session)
    answer = await context.ask(
        hop.UnshareSession(caller=context.caller, request_id=context.request_id, session=session, user=params.user)
    )
    context.record("session_unshared", session=session, unshared=params.user)
    return answer
