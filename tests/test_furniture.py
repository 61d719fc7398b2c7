from __future__ import annotations

import pytest
from conftest import DATA

from model import Taxonomy
from service.furniture import kind_of_furniture
from training.passages import read_passages

FURNITURE = {
    "link": [
        "Lire aussi : Le sénateur quitte le réseau",
        "À lire aussi",
        "A LIRE AUSSI > La plateforme se défend",
        "Lire la suite de l'article",
        "Sur le même sujet",
        "Les plus lus",
        "En savoir plus →",
        "Read more: the senator leaves the network",
        "Read more about online safety",
        "Read more from our technology desk",
        "READ MORE",
        "See also: a timeline",
        "Related articles",
        "Most popular",
        "You may also like",
    ],
    "newsletter": [
        "Sign up for our daily newsletter",
        "Sign up to get the morning briefing in your inbox.",
        "Subscribe now",
        "Get the week's stories delivered to your inbox every Friday",
        "Already a subscriber? Log in",
        "Inscrivez-vous à notre newsletter quotidienne",
        "Abonnez-vous à partir de 1 €",
        "Recevez chaque matin notre lettre d'information par e-mail",
        "Déjà abonné ? Connectez-vous",
        "Article réservé aux abonnés",
        "Il vous reste 72 % de cet article à lire. La suite est réservée aux abonnés.",
    ],
    "cookies": [
        "We use cookies to improve your experience on this site.",
        "We and our 843 partners store and access cookies on your device.",
        "By continuing to use this site you accept our cookies policy.",
        "Accept all cookies",
        "Cookie settings",
        "Nous utilisons des cookies pour mesurer l'audience.",
        "Ce site utilise des cookies.",
        "En poursuivant votre navigation, vous acceptez l'usage de traceurs.",
        "Continuer sans accepter",
        "Accepter et fermer",
        "Gérer mes choix",
    ],
    "credit": [
        "Photo: Reuters",
        "Crédit photo : Jeanne Dupuis / AFP",
        "Photo by Ann Smith / Getty Images",
        "© 2024 Le Courrier. Tous droits réservés.",
        "All rights reserved",
        "(Reporting by Ann Smith; Editing by Tom Jones)",
        "Publié le 3 mars 2024 à 10h12",
        "Mis à jour le 4 mars 2024",
        "Published on 3 March 2024",
        "Updated: Mar 4, 2024 10:12 GMT",
        "Temps de lecture : 3 min",
        "4 min read",
        "avec AFP",
    ],
    "byline": ["Par Jeanne Dupuis", "By Ann Smith and Tom Jones", "Par Jeanne Dupuis et Paul Roy"],
    "share": [
        "Share",
        "Share this article",
        "Share on Facebook",
        "Partager sur Facebook, Twitter et WhatsApp",
        "Partager cet article",
        "Facebook | Twitter | LinkedIn",
        "Copy link",
        "Copier le lien",
        "Follow us on Instagram",
        "Suivez-nous sur Facebook",
        "12 commentaires",
        "Leave a comment",
    ],
    "page": [
        "Advertisement",
        "Publicité",
        "La suite après cette publicité",
        "Skip to content",
        "Retour en haut",
    ],
}
ARTICLE = [
    "Twitter a suspendu le compte du sénateur.",
    "Lire aussi des romans interdits est devenu un acte politique, dit la bibliothécaire.",
    "Read more books, the minister told pupils who had been banned from their phones.",
    "Les plus lus des messages du compte appelaient à la violence.",
    "Most popular apps in the store will have to check the age of their users from Monday.",
    "Sign up for Truth Social jumped after the ban was announced on Friday.",
    "Subscribers to the channel received threats for weeks before it was taken down.",
    "Les abonnés du compte ont reçu des menaces pendant des semaines.",
    "La CNIL a condamné Google à une amende de 90 millions d'euros pour ses cookies.",
    "Facebook used cookies to follow people who had no account, the court found.",
    "Les cookies déposés sans accord ont valu une amende au réseau.",
    "Photo sharing is suspended in the country since the riots of last week.",
    "Published photos of the victims were removed by the platform within an hour.",
    "Publié sans l'accord de la famille, le film a été retiré.",
    "Par décision du tribunal, le site a été bloqué pour six mois.",
    "By Friday the company had deleted 2,000 accounts that spread the rumour.",
    "Partager une vidéo de l'attentat est un délit, rappelle le parquet.",
    "Share prices of the platform fell 12% after the boycott.",
    "Sharing on Facebook of the video of the attack reached a million in an hour.",
    "Commenter l'affaire sur les réseaux lui a coûté son poste.",
    "Suivez ce que disent les réseaux : la phrase a fait le tour du pays.",
    "12 comments were deleted by the moderators of the group before the page was closed.",
    "Advertising on extremist channels will be banned, the platform says.",
    "La publicité politique disparaît de la plateforme en octobre.",
    "Menu items were renamed after complaints.",
    "Reuters found that the company knew of the scams.",
    "L'AFP a fermé le compte pirate.",
    "",
]


@pytest.mark.parametrize(
    ("kind", "line"), [(kind, line) for kind, lines in FURNITURE.items() for line in lines]
)
def test_furniture_is_known(kind, line):
    assert kind_of_furniture(line) == kind
    assert kind_of_furniture(f"• {line}  ") == kind


@pytest.mark.parametrize("line", ARTICLE)
def test_an_articles_own_lines_are_left_alone(line):
    assert kind_of_furniture(line) is None


def test_a_long_paragraph_is_never_furniture():
    assert kind_of_furniture("We use cookies " + "and say so " * 30) is None


def test_labelled_passages_with_topics_are_hardly_ever_taken_for_furniture():
    passages = read_passages([DATA], Taxonomy.default().slugs)
    with_topics = [p for p in passages if p.topics and "\n" not in p.text]
    taken = [p.text for p in with_topics if kind_of_furniture(p.text)]
    assert len(with_topics) > 1000
    assert taken == []
