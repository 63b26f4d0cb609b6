"""Random NetJSON: configurations that a router could have, and garbage in the shape of NetJSON."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

NetJSON = dict[str, Any]

KEY = "QFdbnuYr7rrF4eONCAs7FhZwP7BXX/jD/jq2LXCpaXI="
RELEASES = ("", "OpenWrt 19.07.10", "OpenWrt 23.05.3", "OpenWrt SNAPSHOT", "LEDE 17.01")
WORDS = ("guest", "staff-net", "office 2", "Main Street", "x" * 30, "a'b", "two\nlines", "four    spaces")


@dataclass
class Case:
    """What a backend is given to render."""

    config: NetJSON
    templates: list[NetJSON] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)
    device_os: str = ""


BASIC = {
    "general": {"timezone": "Europe/Rome", "ula_prefix": "fd8e:f40a:6701::/48"},
    "ntp": {"enabled": True, "server": ["0.openwrt.pool.ntp.org", "1.openwrt.pool.ntp.org"]},
    "dns_servers": ["9.9.9.9", "1.1.1.1"],
    "dns_search": ["example.com"],
    "interfaces": [
        {
            "name": "lan",
            "type": "bridge",
            "bridge_members": ["eth0", "wlan0"],
            "addresses": [{"proto": "static", "family": "ipv4", "address": "{{lan}}", "mask": 24}],
        },
        {"name": "eth1", "type": "ethernet", "network": "wan", "addresses": [{"proto": "dhcp", "family": "ipv4"}]},
        {
            "name": "lo",
            "type": "loopback",
            "addresses": [{"proto": "static", "family": "ipv4", "address": "127.0.0.1", "mask": 8}],
        },
    ],
    "led": [{"name": "USB1", "sysfs": "tp-link:green:usb1", "trigger": "usbdev", "dev": "1-1.1", "interval": 50}],
}

WIFI = {
    "radios": [
        {"name": "radio0", "phy": "phy0", "protocol": "802.11n", "channel": 11, "channel_width": 20, "country": "IT"},
        {"name": "radio1", "phy": "phy1", "protocol": "802.11ac", "channel": 36, "channel_width": 80, "country": "IT"},
    ],
    "interfaces": [
        {
            "name": f"wlan{number}",
            "type": "wireless",
            "wireless": {
                "radio": f"radio{number}",
                "mode": "access_point",
                "ssid": "{{ssid}}",
                "network": ["lan"],
                "encryption": {"protocol": "wpa2_personal", "cipher": "auto", "key": "{{key}}"},
            },
        }
        for number in range(2)
    ],
}

MANAGEMENT = {
    "firewall": [
        {"config_name": "defaults", "input": "ACCEPT", "output": "ACCEPT", "forward": "REJECT"},
        {"config_name": "zone", "config_value": "lan", "name": "lan", "network": ["lan"], "input": "ACCEPT"},
        {"config_name": "rule", "config_value": "ssh", "src": "wan", "dest_port": "22", "target": "ACCEPT"},
    ],
    "files": [
        {"path": "/etc/banner", "mode": "0644", "contents": "One of the fleet\n"},
        {"path": "/etc/openwisp/pre-reload-hook", "mode": "0755", "contents": "#!/bin/sh\nexit 0\n"},
    ],
    "routes": [{"device": "eth1", "destination": "192.168.4.0/24", "next": "192.168.2.2", "cost": 2}],
    "openvpn": [
        {
            "name": "management",
            "mode": "p2p",
            "proto": "udp",
            "dev": "tun0",
            "dev_type": "tun",
            "remote": [{"host": "vpn.example.com", "port": 1194}],
            "ca": "/etc/x509/ca.pem",
            "cert": "/etc/x509/cert.pem",
            "key": "/etc/x509/key.pem",
            "nobind": True,
            "pull": True,
        }
    ],
}


def fleet(size: int) -> list[Case]:
    """Access points that share three templates; each has its hostname, uplink, address and Wi-Fi network."""
    return [
        Case(
            {
                "general": {"hostname": f"ap-{number:05}"},
                "interfaces": [{"name": "eth1", "type": "ethernet", "mtu": 1400 + number % 100}],
            },
            [BASIC, WIFI, MANAGEMENT],
            {
                "name": f"ap-{number:05}",
                "id": f"{number:032x}",
                "key": f"password of {number}",
                "ssid": f"Site {number}",
                "lan": f"10.{number >> 8 & 255}.{number & 255}.1",
            },
            "OpenWrt 23.05.3",
        )
        for number in range(size)
    ]


class Generator:
    """Configurations from a seed: the same seed always gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    # A device and its layers

    def case(self) -> Case:
        """A configuration of one to four layers, of which the weaker ones are templates, with variables."""
        whole = self.configuration()
        layers: list[NetJSON] = [{} for _ in range(self.random.randint(1, 4))]
        for name, section in whole.items():
            self._spread(name, section, layers)
        layers[-1].setdefault("general", {})["hostname"] = self.random.choice(("router", "{{ name }}", "ap-{{id}}"))
        context = {
            "name": "core-router",
            "id": self.random.randint(1, 99),
            "ssid": self._word(),
            "key": self.random.choice(("correct horse", "pa$$ {{id}} word", "0123456789")),
            "lan": self._ipv4(),
            "unused": [1, {"two": None}],
        }
        # Stored configurations come out of JSON: no two layers share an object.
        return Case(*json.loads(json.dumps([layers[-1], layers[:-1]])), context, self.random.choice(RELEASES))

    def configuration(self) -> NetJSON:
        """One valid configuration with a random choice of sections."""
        sections = {
            "general": self.general,
            "radios": self.radios,
            "interfaces": self.interfaces,
            "dns_servers": lambda: self._some(lambda: self._ipv4(), 3),
            "dns_search": lambda: self.random.sample(["example.com", "lan", "home.arpa"], self.random.randint(0, 3)),
            "routes": lambda: self._some(self.route, 3),
            "ip_rules": lambda: self._some(self.rule, 3),
            "ntp": self.ntp,
            "switch": lambda: self._some(self.switch, 2),
            "led": lambda: self._some(self.led, 3),
            "files": self.files,
            "openvpn": self.openvpn,
            "wireguard_peers": lambda: self._some(self.peer, 3),
            "zerotier": self.zerotier,
            "firewall": lambda: self._some(self.custom, 5),
            "dhcp": lambda: self._some(self.custom, 3),
            "network": lambda: self._some(self.custom, 2),
            "system": lambda: self._some(self.custom, 2),
            "tc_options": self.tc_options,
            "type": lambda: "DeviceConfiguration",
        }
        rare = {"network", "system"}
        names = [name for name in sections if self._chance(0.1 if name in rare else 0.6)]
        self.random.shuffle(names)
        return {name: sections[name]() for name in names}

    # fmt: off
    # Sections: what is given with _optional() is there now and then

    def general(self) -> NetJSON:
        return self._optional(
            timezone=self._pick("UTC", "Europe/Rome", "America/New York"),
            ula_prefix=lambda: "fd8e:f40a:6701::/48",
            globals_id=lambda: "my_globals",
            maintainer=self._word,
            description=lambda: "{{ssid}} at {{ lan }}, {{undefined}}",
            id=lambda: "main",
            cronloglevel=lambda: 8,
        )

    def interfaces(self) -> list[NetJSON]:
        """Interfaces of all kinds under distinct names, and now and then two logical ones on one device."""
        makers = (
            self.ethernet, self.ethernet, self.loopback, self.bridge, self.wireless, self.wireless, self.vlan,
            self.dialup, self.modem, self.wireguard, self.vxlan,
        )
        interfaces = []
        for number in range(self.random.randint(0, 6)):
            interface = self.random.choice(makers)(number)
            if self._chance(0.2):
                interface["network"] = self.random.choice((f"net{number}", "wan", "lan.2", "guest-net"))
            if self._chance(0.2):
                interface |= self._optional(
                    mtu=lambda: 1400, disabled=self._bool, autostart=self._bool, mac=self._mac, txqueuelen=lambda: 100,
                    igmpversion=lambda: "2", dns=lambda: "9.9.9.9", metric=lambda: 3, proto=lambda: "dhcp",
                    custom=lambda: ["one", 2, True], rpfilter=lambda: "loose", neighlocktime=lambda: 0,
                )
                if interface["type"] == "dialup":
                    interface["proto"] = "ppp"
            interfaces.append(interface)
        return interfaces

    def ethernet(self, number: int) -> NetJSON:
        interface = {"name": f"eth{number}", "type": self.random.choice(("ethernet", "virtual", "other"))}
        return self._with_addresses(interface)

    def loopback(self, number: int) -> NetJSON:
        return self._with_addresses({"name": "lo" if self._chance(0.8) else f"lo{number}", "type": "loopback"})

    def bridge(self, number: int) -> NetJSON:
        members = self.random.sample(["eth0", "eth1", "eth2.10", "wlan0", "wlan1"], self.random.randint(0, 3))
        name = self.random.choice(("br-lan", "lan"))
        bridge: NetJSON = {"name": f"{name}{number}", "type": "bridge", "bridge_members": members}
        bridge |= self._optional(
            stp=self._bool, forward_delay=lambda: 5, hello_time=lambda: 2, priority=lambda: 0, max_age=lambda: 20,
            igmp_snooping=self._bool, multicast_querier=self._bool, query_interval=lambda: 100, robustness=lambda: 2,
            vlan_filtering=self.bridge_vlans,
        )
        return self._with_addresses(bridge)

    def bridge_vlans(self) -> list[NetJSON]:
        untagged = {"ifname": "eth1", "tagging": "u"}
        return [
            {"vlan": vid, "ports": [{"ifname": "eth0", "tagging": "t", "primary_vid": vid == 7}, untagged]}
            for vid in self.random.sample(range(1, 8), self.random.randint(1, 3))
        ]

    def wireless(self, number: int) -> NetJSON:
        mode = self.random.choice(("access_point", "station", "adhoc", "monitor", "802.11s"))
        wireless: NetJSON = {"radio": f"radio{number % 2}", "mode": mode}
        if mode in ("access_point", "station", "adhoc"):
            wireless["ssid"] = self.random.choice(("{{ssid}}", "Guests {{ id }}", "plain"))
        if mode == "adhoc":
            wireless["bssid"] = "00:11:22:33:44:55"
        if mode == "802.11s":
            wireless["mesh_id"] = "mesh"
        if mode == "access_point":
            wireless |= self._optional(
                hidden=self._bool, wmm=self._bool, isolate=self._bool, ieee80211r=self._bool, ft_over_ds=self._bool,
                reassociation_deadline=lambda: 2000, macfilter=self._pick("deny", "allow"), nasid=lambda: "nas",
                maclist=lambda: [self._mac()], encryption=self.encryption,
            )
        wireless |= self._optional(
            network=lambda: ["lan", "wan.1"], ack_distance=lambda: 300, rts_threshold=lambda: 0,
            id=lambda: f"wifi{number}",
        )
        return self._with_addresses({"name": f"wlan{number}", "type": "wireless", "wireless": wireless})

    def encryption(self) -> NetJSON:
        personal, others = ("wpa2_personal", "wpa_personal_mixed"), ("none", "wep_open", "wps", "owe")
        protocol = self.random.choice((*personal, "wpa3_personal", "wpa2_enterprise", *others))
        settings: NetJSON = {"protocol": protocol}
        if protocol in personal:
            settings["key"] = "{{ key }}"
            settings |= self._optional(cipher=self._pick("auto", "ccmp", "tkip+ccmp"), disabled=self._bool)
        elif protocol == "wpa3_personal":
            settings |= {"key": "{{key}}-longer", "cipher": "ccmp", "ieee80211w": "2"}
        elif protocol == "wpa2_enterprise":
            settings |= {"key": "radius-secret", "server": "radius.example.com", "port": 1812}
            settings |= self._optional(acct_server=lambda: "10.0.0.1", acct_server_port=lambda: 1813, nasid=self._name)
        elif protocol == "wep_open":
            settings["key"] = "wep12"
        return settings

    def vlan(self, number: int) -> NetJSON:
        vlan = {"name": "eth0", "type": self.random.choice(("8021q", "8021ad")), "vid": number}
        vlan |= self._optional(ingress_qos_mapping=lambda: ["1:2"], egress_qos_mapping=lambda: ["0:1", "3:4"])
        return self._with_addresses(vlan)

    def dialup(self, number: int) -> NetJSON:
        protocol = self.random.choice(("pppoe", "ppp", "3g", "l2tp"))
        return {"name": f"dsl{number}", "type": "dialup", "proto": protocol, "username": "me", "password": self._word()}

    def modem(self, number: int) -> NetJSON:
        modem = {"name": f"wwan{number}", "type": "modem-manager", "device": "/sys/devices/usb", "apn": "web.omnitel"}
        return modem | self._optional(pin=lambda: "1234", lowpower=self._bool, metric=lambda: 50, iptype=lambda: "ipv6")

    def wireguard(self, number: int) -> NetJSON:
        tunnel: NetJSON = {"name": f"wg{number}", "type": "wireguard", "private_key": KEY}
        tunnel["addresses"] = [{"proto": "static", "family": "ipv4", "address": "{{lan}}", "mask": 32}]
        return tunnel | self._optional(port=lambda: 51820, mtu=lambda: 1420, nohostroute=self._bool, ip6prefix=list)

    def vxlan(self, number: int) -> NetJSON:
        vxlan = {"name": f"vx{number}", "type": "vxlan", "vtep": "10.0.0.1", "port": 4789, "tunlink": "wg0"}
        return vxlan | {"vni": number + 1}

    def radios(self) -> list[NetJSON]:
        bands = (
            {"protocol": "802.11n", "channel": 11, "channel_width": 40},
            {"protocol": "802.11n", "channel": 0, "channel_width": 20, "hwmode": "11g"},
            {"protocol": "802.11n", "channel": 0, "channel_width": 20, "band": "5g"},
            {"protocol": "802.11g", "channel": 3, "channel_width": 20},
            {"protocol": "802.11a", "channel": 36, "channel_width": 20},
            {"protocol": "802.11ac", "channel": 0, "channel_width": 80},
            {"protocol": "802.11ax", "channel": 37, "channel_width": 160},
            {"protocol": "802.11ad", "channel": 19, "channel_width": 80},
        )
        return [
            {"name": f"radio{number}"}
            | dict(self.random.choice(bands))
            | self._optional(
                phy=lambda: "phy0", driver=self._pick("mac80211", "atheros", "ath9k"), tx_power=lambda: 10,
                country=self._pick("IT", "DE", "US"), disabled=self._bool, htmode=lambda: "HT40+",
            )
            for number in range(self.random.randint(0, 3))
        ]

    def route(self) -> NetJSON:
        destination = self.random.choice((f"{self._ipv4()}/24", "fd8b::/64", "{{lan}}/16"))
        route: NetJSON = {"device": "eth0", "destination": destination, "cost": self.random.randint(0, 9)}
        route["next"] = self.random.choice(("192.168.1.1", ""))
        return route | self._optional(
            name=self._name, type=self._pick("unicast", "blackhole"), table=lambda: "7", onlink=self._bool,
        )

    def rule(self) -> NetJSON:
        return self._optional(
            src=self._pick("192.168.1.0/24", "fd12::/32"), dest=self._pick("192.168.2.0/24", "10.0.0.1"),
            name=self._name, action=self._pick("blackhole", "throw"), invert=self._bool, tos=lambda: 4,
            lookup=lambda: "0", goto=lambda: 9,
        ) | {"in": self._name()}

    def ntp(self) -> NetJSON:
        servers = ["0.openwrt.pool.ntp.org", "1.openwrt.pool.ntp.org", "{{name}}.example.com"]
        return self._optional(enabled=self._bool, enable_server=self._bool, server=lambda: servers, id=lambda: "clock")

    def switch(self) -> NetJSON:
        vlans = [{"device": "switch0", "vlan": vid, "ports": "0t 2 3"} for vid in range(1, self.random.randint(1, 4))]
        return {"name": self._name(), "reset": self._bool(), "enable_vlan": True, "vlan": vlans}

    def led(self) -> NetJSON:
        return {"name": self._name(), "sysfs": "tp-link:green:usb1", "trigger": "usbdev"} | self._optional(
            dev=lambda: "1-1.1", interval=lambda: 50, default=self._bool, delayon=lambda: 0, id=self._name
        )

    def files(self) -> list[NetJSON]:
        paths = ("/etc/banner", "crontabs/root", "/etc/openwisp/hook", "etc/config/extra", "/" + "long/" * 30 + "name")
        contents = ("", "{{ssid}}\n\n\n  {{undefined}}", "#!/bin/sh\necho {{ name }} {{id}}\n" * 40)
        return [
            {
                "path": path,
                "mode": self.random.choice(("0644", "755", "0600")),
                "contents": self.random.choice(contents),
            }
            for path in self.random.sample(paths, self.random.randint(0, 3))
        ]

    def openvpn(self) -> list[NetJSON]:
        return [self._vpn(number) for number in range(self.random.randint(0, 2))]

    def _vpn(self, number: int) -> NetJSON:
        vpn: NetJSON = {"name": f"vpn-{number}", "mode": "p2p", "proto": "udp", "dev": f"tap{number}"}
        vpn |= {"remote": [{"host": "vpn.example.com", "port": 1194}, {"host": "{{lan}}", "port": 443, "proto": "tcp"}]}
        vpn |= {"ca": "/etc/x509/ca.pem", "cert": "/etc/x509/cert.pem", "key": "/etc/x509/key.pem"}
        ciphers = [{"cipher": "AES-256-GCM", "optional": False}, {"cipher": "AES-128-GCM", "optional": True}]
        return vpn | self._optional(
            dev_type=self._pick("tun", "tap"), up=lambda: "/openvpn/up.sh", down=lambda: "down.sh", fragment=lambda: 0,
            disabled=self._bool, nobind=self._bool, status=lambda: "/tmp/status 10", status_version=lambda: 1,
            tls_auth=self._pick("tls_auth.key 1", "-----BEGIN OpenVPN Static key-----\nabc\n"), verb=lambda: 3,
            data_ciphers=lambda: ciphers, tls_cipher=lambda: "TLS-DHE-RSA-WITH-AES-128-CBC-SHA:TLS-RSA:",
            engine=lambda: "", mssfix=lambda: 1450,
        )

    def peer(self) -> NetJSON:
        peer: NetJSON = {"interface": self.random.choice(("wg0", "wg-1")), "public_key": KEY}
        peer["allowed_ips"] = [f"{self._ipv4()}/32", "{{lan}}/24"]
        return peer | self._optional(
            endpoint_host=lambda: "wg.example.com", endpoint_port=lambda: 51820, route_allowed_ips=self._bool,
        )

    def zerotier(self) -> list[NetJSON]:
        network = {"id": "9536600adf654321", "ifname": "owzt654321", "allow_managed": True}
        options = self._optional(secret=lambda: "{{key}}", port=lambda: 9993, disabled=self._bool)
        return [{"name": "global", "networks": [network]} | options]

    def custom(self) -> NetJSON:
        """A block of a UCI package that the library does not know."""
        return {"config_name": self.random.choice(("rule", "zone", "interface", "host"))} | self._optional(
            config_value=lambda: f"{self._name()}.1", name=self._name, network=lambda: ["lan", "{{ name }}"],
            src=lambda: "wan", enabled=self._bool, port=lambda: self.random.randint(1, 9), empty=lambda: "",
            nothing=lambda: None, ratio=lambda: 0.5,
        )

    def tc_options(self) -> list[NetJSON]:
        return [{"name": "eth0"} | self._optional(input_bandwidth=lambda: 2048, output_bandwidth=lambda: 1025)]

    # fmt: on
    # Values

    def _with_addresses(self, interface: NetJSON) -> NetJSON:
        choices: list[NetJSON] = [
            {"proto": "static", "family": "ipv4", "address": self._ipv4(), "mask": 24, "gateway": "192.168.1.1"},
            {"proto": "static", "family": "ipv4", "address": "{{lan}}", "mask": 16},
            {"proto": "static", "family": "ipv6", "address": "fd87::1", "mask": 128},
            {"proto": "dhcp", "family": "ipv4"},
            {"proto": "dhcp", "family": "ipv6", "reqprefix": "auto"},
        ]
        if self._chance(0.7):
            interface["addresses"] = self.random.sample(choices, self.random.randint(0, 3))
        return interface

    def _spread(self, name: str, section: Any, layers: list[NetJSON]) -> None:
        """Put a section into one layer or parts of it into several, so that the layers have to be merged."""
        for layer in layers:
            if isinstance(section, list):
                part: Any = [item for item in section if self._chance(0.6)]
            elif isinstance(section, dict):
                part = {key: value for key, value in section.items() if self._chance(0.6)}
            else:
                part = section
            if self._chance(0.5):
                layer[name] = part
        self.random.choice(layers)[name] = section

    def _optional(self, **makers: Any) -> NetJSON:
        return {name: make() for name, make in makers.items() if self._chance(0.4)}

    def _some(self, make: Any, most: int) -> list[Any]:
        items: list[Any] = []
        for _ in range(self.random.randint(0, most)):
            item = make()
            if item not in items:
                items.append(item)
        return items

    def _pick(self, *values: Any) -> Any:
        return lambda: self.random.choice(values)

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _bool(self) -> bool:
        return self._chance(0.5)

    def _word(self) -> str:
        return self.random.choice(WORDS)

    def _name(self) -> str:
        return self.random.choice(("lan", "wan", "dmz", "USB1", "if-a.1"))

    def _mac(self) -> str:
        return ":".join(f"{self.random.randrange(256):02X}" for _ in range(6))

    def _ipv4(self) -> str:
        return f"10.{self.random.randrange(256)}.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"

    # Garbage

    def spoilt(self, case: Case) -> Case:
        """The case with a few random values replaced, removed or renamed."""
        layers = [case.config, *case.templates]
        for _ in range(self.random.randint(1, 3)):
            self._spoil(self.random.choice(layers))
        if self._chance(0.3):
            case.context[self.random.choice(("lan", "ssid", "name", "key"))] = self._garbage()
        return case

    def _spoil(self, tree: Any) -> None:
        """Walk down to a random place and do something unexpected there."""
        while isinstance(tree, (dict, list)) and tree:
            key = self.random.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
            if isinstance(tree[key], (dict, list)) and tree[key] and self._chance(0.8):
                tree = tree[key]
                continue
            if isinstance(tree, dict) and self._chance(0.3):
                value = tree.pop(key)
                if self._chance(0.4):
                    tree[self.random.choice(("name", "type", "id", "network", "addresses", "config_name", "x"))] = value
            else:
                tree[key] = self._garbage()
            return

    # fmt: off
    def _garbage(self) -> Any:
        return self.random.choice((
            None, True, False, 0, 1, -1, 10**12, 1.5, float("nan"), "", " ", "a", "0", "-1", "::1", "999.1.1.1",
            "10.0.0.1/99", "{{", "{{}}", "{{lan}}", "{{ssid}}{{key}}", "\\1", "line\n", "a\x1cb", "a\x85b", "é中",
            "\ud800",
            "x" * 300, "../..", "package x", "\npackage x\n\ny", [], [[]], [None], ["a", "a"], [{}], [{"name": {}}],
            {}, {"a": {}}, {"name": "x"}, {"name": []}, {"id": [1]}, {"type": ["x"]}, [{"config_name": 5}],
            [{"config_name": "x", "config_value": 7}],
        ))
