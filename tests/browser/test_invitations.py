"""A binôme in a real browser: a party invites the other one, who comes by the link of the mail; then another blockage."""

from __future__ import annotations

import email
import email.policy
import re

from playwright.sync_api import expect

from config.settings import Settings
from tasks.deliver import deliver_all
from tests.browser.conftest import PHONE

HOLDER = "directrice-lacq:holder"
MAIL = "maire@lacq.example"


def link(portal, folder):
    """The path of the one invitation that leaves now."""
    deliver_all(portal.make, Settings(base_url=portal.url, mail=f"file:{folder}"))
    read = [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in folder.glob("*.eml")]
    (body,) = [one.get_body(("plain",)).get_content() for one in read if one["To"] == MAIL]
    return re.search(rf"{portal.url}(/invitation/\S+)", body)[1]


def test_a_party_invites_the_other_who_comes_by_the_link_and_both_carry_the_dossier(portal, tmp_path):
    holder = portal.page(PHONE)
    portal.enter(holder, HOLDER)
    holder.goto("/dossiers/64-0001")
    holder.click('#carried ~ ul a:has-text("Inviter")')
    holder.click("main button")
    expect(holder.locator("#error-mail")).to_be_visible()
    expect(holder.locator("main .alert")).to_be_focused()
    portal.look(holder, "60-inviter-erreurs")
    holder.fill("#mail", MAIL)
    holder.check('input[value="elected"]')
    holder.click("main button")
    expect(holder.locator("main")).to_contain_text(MAIL)
    portal.look(holder, "61-invitation-en-cours")

    path = link(portal, tmp_path)
    guest = portal.page(PHONE)
    guest.goto(path)
    portal.look(guest, "62-invitation")
    guest.click("main button")
    expect(guest.locator("#error-name")).to_be_visible()
    guest.fill("#name", "Maryse Élue")
    guest.click("main button")
    expect(guest.locator("main")).to_contain_text("Raccordement 60 MW")
    expect(guest.locator("main")).to_contain_text("Maryse Élue (vous)")
    stranger = portal.page(PHONE)
    stranger.goto("/connexion")
    assert stranger.goto(path).status == 410
    portal.look(stranger, "63-invitation-deja-servie")

    guest.click('text="Quitter ce dossier"')
    portal.look(guest, "64-quitter")
    holder.goto("/dossiers/64-0001")
    holder.click('text="Signaler un autre blocage du même projet"')
    expect(holder.locator("main")).to_contain_text("Maryse Élue")
    portal.look(holder, "65-autre-blocage")
    assert portal.complaints == [] or all("410" in one for one in portal.complaints)
