"""Methods that have events sent as they come. They are there over WebSockets."""

from kernel_bridge.errors import HostUnavailable, LimitExceeded
from rpc.context import Context
from rpc.messages import Subscribed, SubscribeParams, Unsubscribed, UnsubscribeParams
from rpc.registry import method


@method(
    "subscribe",
    params=SubscribeParams,
    result=Subscribed,
    scope="read",
    raises=(LimitExceeded, HostUnavailable),
    websocket=True,
)
async def subscribe(context: Context, params: SubscribeParams) -> Subscribed:
    """Have the events after `cursor` sent as `output` notifications: pages of poll_output, the first after the answer.

    With `cell` the last one says `done`. `subscription_ended` comes when the service ends it, with the error.
    """
    return await context.peer.subscribe(context, params)


@method("unsubscribe", params=UnsubscribeParams, result=Unsubscribed, scope="read", websocket=True)
async def unsubscribe(context: Context, params: UnsubscribeParams) -> Unsubscribed:
    """End a subscription; nothing of it follows the answer, whose `cursor` is the last seq that was sent."""
    return Unsubscribed(params.subscription, await context.peer.unsubscribe(params.subscription))
