"""Methods of log-in and sessions."""

from auth.errors import DatabaseUnavailable, LoginFailed, LoginThrottled, TooManyLogins
from auth.users import User
from kernel_bridge import hop, results
from kernel_bridge.errors import HostUnavailable, KernelStartFailed, LimitExceeded
from rpc.context import Context
from rpc.messages import (
    CloseSessionParams,
    Identity,
    InSessionParams,
    ListSessionsParams,
    LoggedIn,
    LoggedOut,
    LoginParams,
    Nothing,
    OpenSessionParams,
)
from rpc.registry import method
from rpc.times import rfc3339

_OUTCOMES: dict[type[Exception], str] = {
    LoginFailed: "failed",
    LoginThrottled: "throttled",
    TooManyLogins: "busy",
    DatabaseUnavailable: "unavailable",
}
_OPENING_ERRORS = (LimitExceeded, KernelStartFailed)


@method(
    "login",
    params=LoginParams,
    result=LoggedIn,
    scope=None,
    token=False,
    raises=(LoginFailed, LoginThrottled, TooManyLogins, DatabaseUnavailable, HostUnavailable, *_OPENING_ERRORS),
)
async def login(context: Context, params: LoginParams) -> LoggedIn:
    """Open a session, or attach to `session`, and return a token for user and session.

    Over a WebSocket it is from then on the token of calls that bring none.

    The user is checked first, so that a stranger learns nothing of sessions and kernelspecs.
    """
    authenticator = context.services.authenticator
    user = await _log_in(context, params)
    request = hop.OpenSession(
        caller=hop.Caller(user.id, user.name),
        request_id=context.request_id,
        kernel=params.kernel,
        session=params.session,
        start=params.start,
    )
    opened = (await context.ask(request, _start_s(context, params.start))).decode()
    context.session_id = opened.session
    token, claims = authenticator.issue(user, opened.session, opened.kernel)
    _record_opened(context, opened, attached=params.session is not None, user_id=user.id, user=user.name)
    context.adopt(token)
    return LoggedIn(
        token=token,
        session=opened.session,
        kernel=opened.kernel,
        expires_at=rfc3339(claims.expires_at),
        scopes=list(claims.scopes),
        closed_session=opened.closed_session,
    )


@method("logout", params=Nothing, result=LoggedOut, scope=None, raises=(DatabaseUnavailable,))
async def logout(context: Context, _: Nothing) -> LoggedOut:
    """End this token. Its session and running cells go on."""
    await context.services.authenticator.revoke(context.claims)
    context.record("token_revoked", token_id=context.claims.token_id, by="logout")
    return LoggedOut()


@method("whoami", params=Nothing, result=Identity, scope=None)
async def whoami(context: Context, _: Nothing) -> Identity:
    """Whose token this is, what it may do and until when, and the version of the API."""
    claims = context.claims
    return Identity(
        user=claims.user,
        user_id=claims.user_id,
        session=claims.session,
        scopes=list(claims.scopes),
        expires_at=rfc3339(claims.expires_at),
    )


@method("open_session", params=OpenSessionParams, result=results.SessionOpened, scope="manage", raises=_OPENING_ERRORS)
async def open_session(context: Context, params: OpenSessionParams) -> hop.Answer[results.SessionOpened]:
    """Open one more session of this user, or attach to `session`, which opens a closed one again.

    The token goes on pointing to its own session: name the new one in calls.
    """
    context.session_id = params.session or ""
    request = hop.OpenSession(
        caller=context.caller,
        request_id=context.request_id,
        kernel=params.kernel,
        session=params.session,
        start=params.start,
    )
    answer = await context.ask(request, _start_s(context, params.start))
    if context.services.audit.enabled:
        _record_opened(context, answer.decode(), attached=params.session is not None)
    return answer


@method("session_info", params=InSessionParams, result=results.SessionInfo, scope="read")
async def session_info(context: Context, params: InSessionParams) -> hop.Answer[results.SessionInfo]:
    """One session as it is now: its kernel, what runs and what waits."""
    return await context.ask(
        hop.SessionInfo(caller=context.caller, request_id=context.request_id, session=context.session(params.session))
    )


@method("list_sessions", params=ListSessionsParams, result=results.SessionList, scope="read")
async def list_sessions(context: Context, params: ListSessionsParams) -> hop.Answer[results.SessionList]:
    """The sessions of this user, and those that others share with him (`access` tells), page by page."""
    return await context.ask(
        hop.ListSessions(caller=context.caller, request_id=context.request_id, limit=params.limit, after=params.after)
    )


@method("close_session", params=CloseSessionParams, result=results.SessionClosed, scope="manage")
async def close_session(context: Context, params: CloseSessionParams) -> hop.Answer[results.SessionClosed]:
    """Stop a session's kernel and end its cells; `delete` removes record, logs, cells and files too."""
    session = context.session(params.session)
    answer = await context.ask(
        hop.CloseSession(caller=context.caller, request_id=context.request_id, session=session, delete=params.delete)
    )
    context.record("session_deleted" if params.delete else "session_closed", session=session)
    return answer


async def _log_in(context: Context, params: LoginParams) -> User:
    """As Authenticator.log_in; whatever it comes to is recorded, with the name that was given."""
    outcome = "ok"
    try:
        return await context.services.authenticator.log_in(params.username, params.password, context.exchange.address)
    except (LoginFailed, LoginThrottled, TooManyLogins, DatabaseUnavailable) as error:
        outcome = _OUTCOMES[type(error)]
        raise
    finally:
        context.record("login", outcome=outcome, user=params.username)


def _record_opened(context: Context, opened: results.SessionOpened, *, attached: bool, **who: str) -> None:
    event = "session_attached" if attached else "session_opened"
    context.record(event, session=opened.session, kernel=opened.kernel, **who)
    if opened.closed_session is not None:
        context.record("session_closed", session=opened.closed_session, by="sessions_per_user", **who)


def _start_s(context: Context, start: bool) -> float:
    return context.services.settings.kernel_start_s if start else 0.0
