"""The clients of a service, one key for each, also behind proxies.

===================================  ===================================================================================
``proxies``                          the client
===================================  ===================================================================================
``()``                               the address of its connection. ``X-Forwarded-For`` is not read: any client can send
                                     it
``["10.0.0.0/8", "unix"]``           of the addresses in ``X-Forwarded-For``, read from the right, the first one that is
                                     not a proxy; ``unix`` is a connection without an address
``1``, ``2``, ...                    so many proxies stand in front, whatever their addresses are: the address that the
                                     outermost of them wrote
===================================  ===================================================================================

The reading ends at an entry that is not an address, such as Squid's ``unknown``, and the entry to its right counts. An
IPv4 client is its address. An IPv6 client is its /64 network, because one host may use all addresses of it.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from hitring._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Clients"]

_UNIX = "unix"
_LONGEST = 100
"""Characters of the longest text that may be an address, so that what is kept of clients is bounded."""


def _read(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in an entry of ``X-Forwarded-For``, which may have a port; ``None`` if there is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def _name(text: str) -> str:
    """Return the key of the client at an address."""
    address = _read(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return text if address is None else str(address)


_kept_address = lru_cache(4_096)(_read)
_kept_name = lru_cache(4_096)(_name)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    return _kept_address(text) if len(text) <= _LONGEST else None


def _network(proxy: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the network of a proxy."""
    try:
        network = ipaddress.ip_network(proxy if isinstance(proxy, str) else "")
    except ValueError as error:
        message = f"{proxy!r} is not a proxy's address or network ({error}); give such as '10.0.0.0/8' or 'unix'"
        raise ConfigError(message) from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        message = f"{proxy!r} stands for IPv4 addresses; give the network as IPv4"
        raise ConfigError(message)
    return network


class Clients:
    """Tells clients apart."""

    __slots__ = ("_hops", "_is_unix_proxy", "_networks")

    def __init__(self, proxies: int | Iterable[str]) -> None:
        self._hops = 0
        self._is_unix_proxy = False
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        if isinstance(proxies, int) and not isinstance(proxies, bool) and proxies >= 0:
            self._hops = proxies
            return
        if isinstance(proxies, (str, int)) or not hasattr(proxies, "__iter__"):
            message = f"proxies is {proxies!r}; give a list of addresses and networks, or how many proxies there are"
            raise ConfigError(message)
        for proxy in proxies:
            if proxy == _UNIX:
                self._is_unix_proxy = True
            else:
                self._networks.append(_network(proxy))

    @property
    def reads_headers(self) -> bool:
        """Whether ``X-Forwarded-For`` is read at all."""
        return bool(self._hops or self._networks or self._is_unix_proxy)

    def key(self, peer: str, forwarded: str = "") -> str:
        """Return the key of a client.

        ``peer`` is the address of the connection, empty if it has none. ``forwarded`` is the value of
        ``X-Forwarded-For``, all of them with commas between if there are several.
        """
        entries = forwarded.split(",") if forwarded else []
        client = peer
        if self._hops:
            for entry in entries[: -self._hops - 1 : -1]:
                if _address(entry) is None:
                    break
                client = entry
        elif self._is_proxy(peer):
            for entry in reversed(entries):
                if _address(entry) is None:
                    break
                client = entry
                if not self._is_proxy(entry):
                    break
        return _kept_name(client[:_LONGEST]) if client else _UNIX

    def _is_proxy(self, text: str) -> bool:
        if not text:
            return self._is_unix_proxy
        address = _address(text)
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )
