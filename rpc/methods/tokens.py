"""Methods that renew and end tokens, and make long-lived ones for scripts."""

from auth.errors import BadTokenRequest, DatabaseUnavailable, TooManyTokens
from auth.script_tokens import Wanted
from auth.tokens import ALL_SCOPES
from rpc.context import Context
from rpc.messages import (
    CreateTokenParams,
    ListTokensParams,
    LoggedOut,
    Nothing,
    Refreshed,
    RevokeTokenParams,
    TokenCreated,
    TokenInfo,
    TokenList,
    TokenRevoked,
)
from rpc.registry import method
from rpc.times import rfc3339


@method("refresh", params=Nothing, result=Refreshed, scope=None, raises=(DatabaseUnavailable, BadTokenRequest))
async def refresh(context: Context, _: Nothing) -> Refreshed:
    """A new token for the same user, session and scopes, valid as long as one of login. The old one goes on until it
    expires; `logout` with it ends it sooner.

    Only for tokens of login: a long-lived one would outlive its own expiry and its revocation.
    Raises BadTokenRequest (`token`), InvalidToken, DatabaseUnavailable.
    """
    claims = context.claims
    if claims.session is None:
        raise BadTokenRequest("token", "a token of login; create_token makes a long-lived one")
    token, renewed = await context.services.authenticator.renew(claims)
    context.record("token_created", token_id=renewed.token_id, session=claims.session, by="refresh")
    context.adopt(token)
    return Refreshed(
        token=token,
        session=claims.session,
        kernel=claims.kernel,
        expires_at=rfc3339(renewed.expires_at),
        scopes=list(renewed.scopes),
    )


@method("logout_all", params=Nothing, result=LoggedOut, scope="manage", raises=(DatabaseUnavailable,))
async def logout_all(context: Context, _: Nothing) -> LoggedOut:
    """End all tokens of the user, long-lived ones too: at once where this is answered, within 2 s everywhere. Sessions
    and running cells go on.

    Raises InvalidToken, DatabaseUnavailable (then nothing has ended).
    """
    await context.services.authenticator.end_all(context.claims)
    context.record("tokens_revoked", by="logout_all")
    return LoggedOut()


@method(
    "create_token",
    params=CreateTokenParams,
    result=TokenCreated,
    scope="manage",
    raises=(DatabaseUnavailable, TooManyTokens, BadTokenRequest),
)
async def create_token(context: Context, params: CreateTokenParams) -> TokenCreated:
    """A long-lived token for scripts, shown this once. It has no session: calls that need one name it. It can do no
    more than the token that makes it.

    Raises Forbidden, BadTokenRequest, TooManyTokens, InvalidToken, DatabaseUnavailable.
    """
    wanted = Wanted(
        scopes=tuple(scope for scope in ALL_SCOPES if scope in params.scopes),
        name=params.name,
        expires_in_s=params.expires_in_s,
        expires_at=params.expires_at.timestamp() if params.expires_at is not None else None,
    )
    token, claims = await context.services.authenticator.create_script_token(context.claims, wanted)
    context.record("token_created", token_id=claims.token_id, scopes=list(claims.scopes), by="create_token")
    return TokenCreated(
        token=token,
        token_id=claims.token_id,
        name=params.name,
        scopes=list(claims.scopes),
        created_at=rfc3339(claims.issued_at),
        expires_at=rfc3339(claims.expires_at),
    )


@method(
    "list_tokens",
    params=ListTokensParams,
    result=TokenList,
    scope="manage",
    raises=(DatabaseUnavailable, BadTokenRequest),
)
async def list_tokens(context: Context, params: ListTokensParams) -> TokenList:
    """The user's long-lived tokens that are valid, oldest first, page by page; never the tokens themselves.

    Raises BadTokenRequest (`after`), DatabaseUnavailable.
    """
    page = await context.services.authenticator.script_tokens(context.claims, params.limit, params.after)
    found = [
        TokenInfo(
            token_id=token.token_id,
            name=token.name,
            scopes=list(token.scopes),
            created_at=rfc3339(token.created_at),
            expires_at=rfc3339(token.expires_at),
        )
        for token in page.tokens
    ]
    return TokenList(found, page.after)


@method(
    "revoke_token",
    params=RevokeTokenParams,
    result=TokenRevoked,
    scope="manage",
    raises=(DatabaseUnavailable, BadTokenRequest),
)
async def revoke_token(context: Context, params: RevokeTokenParams) -> TokenRevoked:
    """End one of the user's long-lived tokens: at once where this is answered, within 2 s everywhere.

    Raises BadTokenRequest (`token_id`: none of list_tokens), DatabaseUnavailable.
    """
    await context.services.authenticator.revoke_script_token(context.claims, params.token_id)
    context.record("token_revoked", token_id=params.token_id, by="revoke_token")
    return TokenRevoked(params.token_id)
