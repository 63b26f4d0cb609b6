"""The main job from end to end: register, fetch, report, edit."""

import hashlib


def test_a_router_gets_what_its_operator_configured(admin, organization, router):
    template = admin.make_template(organization, "lan")
    device = admin.make_device(organization, templates=[template["id"]])
    agent = router(device)
    checksum = agent.poll()
    assert hashlib.md5(agent.download()).hexdigest() == checksum
    assert agent.report("applied") == "report-result: success\ncurrent-status: applied\n"
    assert admin.state(device)["status"] == "applied"
    admin.patch(f"template/{template['id']}/", {"config": {"interfaces": [{"name": "wan", "type": "ethernet"}]}})
    assert agent.poll() != checksum
