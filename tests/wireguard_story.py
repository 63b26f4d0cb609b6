"""What stories of WireGuard tell of: an operator, servers in subnets, and routers."""

import io
import tarfile

WIREGUARD = "openwisp_controller.vpn_backends.Wireguard"
VXLAN = "openwisp_controller.vpn_backends.VxlanWireguard"
SUBNETS = "/api/v1/ipam/subnet/"

KEY = r"[A-Za-z0-9+/]{43}="


def files(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar}


class Story:
    """What happens between an operator, a server and routers."""

    def __init__(self, client, organization, router):
        self.client, self.organization, self.router = client, organization, router

    def subnet(self, cidr="10.8.0.0/24"):
        body = {"name": cidr, "subnet": cidr, "organization": self.organization}
        return self.client.post(SUBNETS, body)["id"]

    def server(self, status=201, backend=WIREGUARD, name="vpn", **fields):
        fields = {"config": {"wireguard": [{"name": "wg0", "port": 51820}]}, **fields}
        body = {"name": name, "organization": self.organization, "backend": backend, "host": "vpn.example.org"}
        return self.client.post("vpn/", body | fields, status)

    def template(self, server, name="tunnel", **fields):
        fields = {"type": "vpn", "vpn": server["id"], "config": {}} | fields
        return self.client.make_template(self.organization, name, **fields)

    def device(self, number, *templates):
        ids = [template["id"] for template in templates]
        return self.client.make_device(self.organization, f"r{number}", f"00:11:22:33:44:{number:02x}", templates=ids)

    def assign(self, device, *templates):
        ids = [template["id"] for template in templates]
        return self.client.patch(f"device/{device['id']}/", {"config": {"templates": ids}})

    def network_of(self, device):
        """The device's ``etc/config/network`` as it downloads it."""
        return files(self.router(device).download())["etc/config/network"]

    def files_of(self, server):
        return files(self.client.request("GET", f"vpn/{server['id']}/configuration/").body)

    def addresses(self, subnet):
        page = self.client.get(f"{SUBNETS}{subnet}/ip-address/")
        return [address["ip_address"] for address in page["results"]]
