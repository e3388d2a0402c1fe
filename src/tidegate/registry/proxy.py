"""The proxy that the environment names: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, in either case."""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from tidegate.registry.credential import basic_header
from tidegate.registry.endpoint import is_loopback


class ProxyError(ValueError):
    """The environment names a proxy that is no address; the message is a clause."""


def proxy_for(url: URL) -> tuple[URL | None, Mapping[str, str] | None]:
    """The proxy for an address and the headers it wants; none for this machine.

    aiohttp's own `trust_env` would also send what `~/.netrc` has, which is not ours to send. Raises `ProxyError`.
    """
    named = getproxies().get(url.scheme)
    if not named or is_loopback(url) or proxy_bypass(f"{url.host}:{url.port}"):
        return None, None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
    except ValueError:
        # Not chained, and the address not told: it may carry a password.
        raise ProxyError(f"the proxy named by {url.scheme.upper()}_PROXY is not an address") from None
    headers = {"Proxy-Authorization": basic_header(proxy.user, proxy.password or "")} if proxy.user else None
    return proxy.with_user(None), headers
