"""Arithmetic of IP addresses and networks, and the form in which a database can order them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(text: str) -> Address:
    """The address that ``text`` means. Raises ValueError; zones (``fe80::1%eth0``) mean nothing here."""
    if "%" in text:
        raise ValueError(f"{text!r} has a zone")
    return ip_address(text)


def parse_network(text: str) -> Network:
    """The network that ``text`` means, its host bits dropped. Raises ValueError with a sentence for people."""
    if "%" in text:
        raise ValueError(f"{text!r} does not appear to be an IPv4 or IPv6 network")
    return ip_network(text, strict=False)


def key_of(address: Address) -> bytes:
    """The address as bytes that compare like addresses, those of IPv4 before those of IPv6."""
    return bytes([address.version]) + address.packed


def address_of(key: bytes) -> Address:
    """The address of a key."""
    return IPv4Address(key[1:]) if key[0] == 4 else IPv6Address(key[1:])


def is_within(address: Address, network: Network) -> bool:
    """Whether an address lies in a network, its first and last address included."""
    return address.version == network.version and address in network


def last_of(network: Network) -> Address:
    """The last address of a network."""
    return network.broadcast_address


def hosts_of(network: Network) -> tuple[Address, Address]:
    """The first and the last address that a host of the network may have.

    Without the network's own address (in IPv6: the anycast address of its routers) and, in IPv4, the broadcast
    address; networks of one or two addresses have neither.
    """
    first, last = network.network_address, network.broadcast_address
    if network.num_addresses > 2:
        first += 1
        if network.version == 4:
            last -= 1
    return first, last


def count_between(first: Address, last: Address) -> int:
    """How many addresses there are from ``first`` to ``last``."""
    return int(last) - int(first) + 1


def successor_of(address: Address) -> Address | None:
    """The next address; None after the very last one."""
    return None if int(address) + 1 >= 1 << address.max_prefixlen else address + 1


def predecessor_of(address: Address) -> Address | None:
    """The address before this one; None before the very first one."""
    return None if int(address) == 0 else address - 1
