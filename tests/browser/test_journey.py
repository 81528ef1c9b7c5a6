"""People at work in a real browser: a holder submits, a referent triages and asks, the holder answers, the clock
escalates, the next rung resolves. By keyboard alone once, without scripts once, in both languages, in light and in dark.
"""

from __future__ import annotations

import re
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import text

from tests.browser.conftest import DESK, PHONE
from workflow import business_time, verify

HOLDER, DESK_64 = "directrice-lacq:holder", "ref-64@guichet-lacq:referent"
RUNG, MANAGER = "sg-64@prefecture-64-sg:referent", "deleguee-ti:manager"
BLOCKAGE = "Le récépissé de déclaration n'arrive pas. Deux relances sont restées sans réponse."


def tab_to(page: Page, name: str) -> None:
    """Go to a field by the keyboard."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()") == name:
            return
    message = f"{name} cannot be reached by Tab"
    raise AssertionError(message)


def test_a_dossier_goes_from_its_holder_to_its_outcome(portal):
    holder = portal.page(PHONE)
    holder.goto("/")
    portal.look(holder, "01-accueil")
    holder.goto("/connexion")
    portal.look(holder, "02-connexion")
    portal.enter(holder, HOLDER)
    portal.look(holder, "03-mes-dossiers")
    holder.goto("/dossiers/64-0001")
    portal.look(holder, "04-mon-dossier")

    # The form, by keyboard alone: first with errors, which are shown and reached.
    holder.goto("/deposer")
    portal.look(holder, "05-signaler-vide")
    tab_to(holder, "siret")
    holder.keyboard.type("73282932000079")
    tab_to(holder, "title")
    holder.keyboard.type("Forage – site de Lacq")
    expect(holder.locator("#saved")).to_contain_text("Brouillon gardé")
    tab_to(holder, "Déposer")
    holder.keyboard.press("Enter")
    expect(holder.locator("#summary")).to_be_focused()
    portal.look(holder, "06-signaler-erreurs")
    assert holder.input_value("#title") == "Forage – site de Lacq"
    holder.keyboard.press("Tab")
    holder.keyboard.press("Enter")  # the first link of the summary leads to the field
    expect(holder.locator("#siret")).to_be_focused()
    holder.keyboard.press("Control+a")
    holder.keyboard.type("732 829 320 00074")
    tab_to(holder, "commune_search")
    holder.keyboard.type("lacq")
    lacq = holder.locator(
        'input[name="commune"][value="64300"]'
    )  # others of France have it in their names: one is chosen
    expect(lacq).to_be_visible()
    holder.keyboard.press("Tab")
    holder.keyboard.press("Tab")
    holder.keyboard.press("Space")
    expect(lacq).to_be_checked()
    tab_to(holder, "topic")
    holder.keyboard.type("Eau")
    tab_to(holder, "blockage")
    holder.keyboard.type(BLOCKAGE)
    tab_to(holder, "Déposer")
    holder.keyboard.press("Enter")
    expect(holder.get_by_text("ne vaut pas acceptation")).to_be_visible()
    portal.look(holder, "07-depose")
    reference = re.search(r"/dossiers/([0-9A-Z-]+)", holder.url)[1]

    desk = portal.page(DESK)
    portal.enter(desk, DESK_64)
    expect(desk.get_by_role("link", name="Forage – site de Lacq")).to_be_visible()
    portal.look(desk, "08-ma-demi-heure")
    desk.goto("/file")
    portal.look(desk, "09-la-file")
    desk.goto(f"/dossiers/{reference}")
    portal.look(desk, "10-dossier-referent")
    desk.keyboard.press("1")
    expect(desk.get_by_role("heading", name="Orienter")).to_be_visible()
    portal.look(desk, "11-orienter")
    expect(desk.get_by_role("radio", name="DDTM des Pyrénées-Atlantiques")).to_be_checked()
    stale = portal.page(DESK)
    portal.enter(stale, DESK_64)
    stale.goto(f"/dossiers/{reference}/agir/escalate")
    desk.get_by_role("button", name="Orienter").click()
    expect(desk.get_by_text("Fait : Orienter.")).to_be_visible()

    # Another window, opened before: it is told what changed, and keeps what was typed.
    stale.fill("#reason", "Ce que j'ai mis dix minutes à écrire.")
    stale.get_by_role("button", name="Saisir l'échelon supérieur").click()
    expect(stale.get_by_text("Le dossier a changé")).to_be_visible()
    portal.look(stale, "12-page-perimee")
    assert stale.input_value("#reason") == "Ce que j'ai mis dix minutes à écrire."

    desk.goto(f"/dossiers/{reference}/agir/hold")
    desk.get_by_role("radio", name="précision").check()
    desk.fill("#answer_by", "2026-12-04")
    desk.fill("#reason", "Quel débit est nécessaire ?")
    desk.get_by_role("button", name="Voir l'effet d'abord").click()
    expect(desk.get_by_role("heading", name="Ce que cela ferait")).to_be_visible()
    portal.look(desk, "13-demander-effet")
    desk.get_by_role("button", name="Demander au porteur").click()
    desk.goto(f"/dossiers/{reference}/agir/note")
    desk.fill("#note", "À voir en revue de projets.")
    portal.look(desk, "14-note")
    desk.get_by_role("button", name="Noter entre administrations").click()
    expect(desk.get_by_text("À voir en revue de projets.")).to_be_visible()

    holder.goto(f"/dossiers/{reference}")
    expect(holder.get_by_text("une réponse est attendue de vous")).to_be_visible()
    expect(holder.get_by_text("revue de projets")).to_have_count(0)
    portal.look(holder, "15-question")
    holder.get_by_role("link", name="Répondre").first.click()
    holder.fill("#reason", "Vingt mètres cubes par heure.")
    holder.get_by_role("button", name="Répondre").click()
    expect(holder.get_by_text("rien à faire aujourd'hui")).to_be_visible()

    portal.forward(days=20)
    rung = portal.page(DESK)
    portal.enter(rung, RUNG)
    rung.get_by_role("button", name="English").click()
    rung.get_by_role("link", name="Forage – site de Lacq").click()
    expect(rung.get_by_text("Rung called upon", exact=True).first).to_be_visible()
    portal.look(rung, "16-next-rung-in-english")
    rung.goto(f"/dossiers/{reference}/agir/resolve")
    rung.get_by_role("radio", name="unblocked").check()
    rung.fill("#statement", "Le récépissé est délivré, le chantier peut commencer.")
    portal.look(rung, "17-resolve-in-english")
    rung.get_by_role("button", name="Resolve").click()
    expect(rung.get_by_text("Done: Resolve.")).to_be_visible()

    holder.goto(f"/dossiers/{reference}")
    expect(holder.get_by_text("Le récépissé est délivré", exact=False).first).to_be_visible()
    portal.look(holder, "18-resolu")
    holder.goto("/compte")
    portal.look(holder, "19-compte")
    manager = portal.page(DESK)
    portal.enter(manager, MANAGER)
    portal.look(manager, "20-pilotage")
    manager.goto("/dossiers/64-0001")
    portal.look(manager, "21-dossier-pilote")
    for path in ("/aide", "/accessibilite", "/dossiers/99-9999", "/demi-heure"):
        manager.goto(path)
        portal.look(manager, f"22{path.replace('/', '-')}")
    assert [said for said in portal.complaints if "404" not in said and "403" not in said] == []
    assert portal.looked >= 25
    assert [problem for part in verify.verify(portal.make) for problem in part.problems] == []


def test_what_was_typed_outlives_the_session(portal):
    page = portal.page(PHONE)
    portal.enter(page, "vp-lacq:holder")
    page.goto("/deposer")
    with portal.make.begin() as session:
        session.execute(text("delete from web_sessions"))
    page.fill("#blockage", BLOCKAGE)
    expect(page.locator("#saved")).to_contain_text("ne peut pas être gardé")
    page.get_by_role("button", name="Déposer").click()
    expect(page.get_by_text("ce que vous avez écrit n'est pas perdu")).to_be_visible()
    portal.look(page, "23-session-terminee")
    page.click('button[value="vp-lacq:holder"]')
    expect(page.get_by_text("Vous êtes de nouveau connecté")).to_be_visible()
    portal.look(page, "24-reprendre")
    page.get_by_role("button", name="Envoyer maintenant").click()
    expect(page.locator("#summary")).to_be_visible()  # the rest is missing, and said
    assert page.input_value("#blockage") == BLOCKAGE


def test_without_scripts_a_dossier_is_submitted_all_the_same(portal):
    page = portal.page(PHONE, java_script_enabled=False)
    portal.enter(page, "porteur-le-port:holder")
    page.goto("/deposer")
    page.fill("#commune_search", "le port")
    page.fill("#title", "Quai – Le Port")
    page.get_by_role("button", name="Chercher").click()
    assert page.input_value("#title") == "Quai – Le Port"
    page.get_by_role("radio", name="Le Port (97407)").check()
    page.select_option("#topic", "foncier")
    page.fill("#blockage", BLOCKAGE)
    page.get_by_role("button", name="Déposer").click()
    expect(page.get_by_text("heure de La Réunion").first).to_be_visible()
    page.get_by_role("link", name="Écrire à l'administration").click()
    page.fill("#message", "Le plan du quai est prêt.")
    page.get_by_role("button", name="Écrire à l'administration").click()
    expect(page.get_by_text("Le plan du quai est prêt.")).to_be_visible()


def test_a_limit_is_calculated_without_scripts_and_every_page_beside_is_read_by_axe(portal):
    bare = portal.page(PHONE, java_script_enabled=False)
    bare.goto("/")
    bare.get_by_role("link", name="Calculer un délai").first.click()
    bare.select_option("#clock", "permis_de_construire/instruction")
    bare.fill("#start", "2027-01-15")
    bare.get_by_role("button", name="Calculer").first.click()
    expect(bare.get_by_role("heading", name="Échéance : jeudi 15 avril 2027")).to_be_visible()
    bare.fill("#opened1", "2027-02-01")
    bare.fill("#resolved1", "2027-02-20")
    bare.get_by_role("button", name="Calculer").first.click()
    expect(bare.get_by_role("heading", name="Échéance : jeudi 20 mai 2027")).to_be_visible()

    page = portal.page(PHONE)
    page.goto("/calculateur")
    portal.look(page, "30-calculateur")
    page.goto(bare.url)
    portal.look(page, "31-calculateur-reponse")
    page.goto("/calculateur?rule=jours_ouvres&duration=dix&start=2027-01-15")
    expect(page.locator("#error-duration")).to_be_visible()
    portal.look(page, "32-calculateur-erreur")
    page.get_by_role("button", name="English").click()
    page.goto(bare.url)
    portal.look(page, "33-calculator-in-english")

    holder = portal.page(DESK)
    portal.enter(holder, "vp-lacq:holder")
    holder.goto("/compte")
    holder.get_by_role("button", name="Créer une adresse").click()
    expect(holder.get_by_text(".ics")).to_be_visible()
    portal.look(holder, "34-agenda")
    holder.goto("/dossiers")
    holder.locator("main h3 a").first.click()
    holder.get_by_text("Vérifier mon journal").click()
    portal.look(holder, "35-journal")
    with holder.expect_download() as given:
        holder.get_by_role("link", name="Télécharger le journal").click()
    assert given.value.suggested_filename.startswith("journal-")

    holder.goto("/compte")
    holder.get_by_role("link", name="Installation").click()
    portal.look(holder, "36-installation")


def test_a_desk_acts_on_several_dossiers_at_once_and_holds_a_meeting(portal):
    desk = portal.page(DESK)
    portal.enter(desk, DESK_64)
    desk.goto("/file?tous=1")
    desk.fill("#view", "Tous les nôtres")
    desk.get_by_role("button", name="Garder cette vue").click()
    expect(desk.get_by_role("link", name="Tous les nôtres")).to_be_visible()
    portal.look(desk, "39-la-file-et-ses-vues")
    desk.get_by_label("Tout cocher").check()
    several = desk.locator('input[name="d"]:checked').count()
    assert several >= 2
    desk.get_by_role("button", name="Agir sur les dossiers cochés").click()
    portal.look(desk, "40-plusieurs-dossiers")
    desk.get_by_role("link", name="Saisir l'échelon supérieur").click()
    desk.fill("#reason", "Sans réponse depuis la revue de novembre.")
    portal.look(desk, "41-plusieurs-motif")
    desk.get_by_role("button", name="Voir l'effet sur chaque dossier").click()
    expect(desk.get_by_role("heading", name="Ce que cela ferait à chaque dossier")).to_be_visible()
    portal.look(desk, "42-plusieurs-effet")
    desk.get_by_role("button", name="Confirmer").click()
    expect(desk.get_by_text("Faits :")).to_be_visible()
    portal.look(desk, "43-plusieurs-faits")

    with portal.make() as session:
        day = business_time.now(session).date() + timedelta(days=8)
    bare = portal.page(PHONE, java_script_enabled=False)  # the agenda, on a phone without scripts
    portal.enter(bare, DESK_64)
    bare.goto("/file?tous=1")
    for box in bare.locator('input[name="d"]').all()[:2]:
        box.check()
    bare.get_by_role("button", name="Mettre à l'ordre du jour d'une séance").click()
    bare.fill("#day", day.isoformat())
    bare.get_by_role("button", name="Mettre à l'ordre du jour").click()
    bare.get_by_label("Décision", exact=False).first.fill("La DDTM reçoit l'industriel avant l'enquête.")
    bare.get_by_label("Qui", exact=False).first.fill("DDTM 64")
    bare.get_by_label("Pour quand", exact=False).first.fill((day + timedelta(days=2)).isoformat())
    bare.get_by_role("button", name="Noter la décision").first.click()
    expect(bare.locator("blockquote", has_text="DDTM 64").first).to_be_visible()
    for page, name in ((desk, "44-seance"), (portal.page(PHONE), "45-seance-telephone")):
        if page is not desk:
            portal.enter(page, DESK_64)
        page.goto(f"/seances/{day.isoformat()}")
        portal.look(page, name)
    desk.get_by_role("button", name="Envoyer le relevé").click()
    expect(desk.get_by_text("La séance est close")).to_be_visible()
    desk.goto("/seances")
    portal.look(desk, "46-seances")
    assert [problem for part in verify.verify(portal.make) for problem in part.problems] == []
