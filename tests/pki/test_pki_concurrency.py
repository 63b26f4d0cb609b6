"""Several requests at once: nobody gets half of what another one does."""

from concurrent.futures import ThreadPoolExecutor

from cryptography import x509
from webtest import TestApp


def post(app, admin, path, body):
    # WebTest's own object remembers cookies and is not for several threads.
    headers = {"Authorization": f"Bearer {admin.token}"}
    return TestApp(app.app).post_json(f"/api/v1/controller/{path}", body, headers=headers, status="*")


def test_one_common_name_is_given_once(app, admin, organization, ca):
    body = {"name": "x", "common_name": "x", "organization": organization, "ca": ca["id"], "key_length": "256"}
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: post(app, admin, "cert/", body), range(6)))
    assert sorted({answer.status_int for answer in answers} - {503}) == [201, 400]
    assert [answer.status_int for answer in answers].count(201) == 1
    assert admin.get("cert/")["count"] == 1


def test_what_is_issued_while_its_ca_is_renewed_verifies(app, admin, organization, ca):
    def act(number):
        if number % 4 == 0:
            return post(app, admin, f"ca/{ca['id']}/renew/", {})
        body = {"name": f"c{number}", "common_name": f"c{number}", "organization": organization, "ca": ca["id"]}
        return post(app, admin, "cert/", body | {"key_length": "256"})

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(act, range(16)))
    assert {answer.status_int for answer in answers} <= {200, 201, 503}
    authority = x509.load_pem_x509_certificate(admin.get(f"ca/{ca['id']}/")["certificate"].encode())
    made = admin.get("cert/", page_size=100)["results"]
    assert len(made) == [answer.status_int for answer in answers].count(201)
    for each in made:
        x509.load_pem_x509_certificate(each["certificate"].encode()).verify_directly_issued_by(authority)
