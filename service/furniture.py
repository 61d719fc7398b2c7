"""Lines that belong to a page and not to the article on it: links to other articles, newsletters, cookies, credits, share buttons.

News about platforms speaks of cookies, sharing and subscribing all the time, so a rule matches a whole line of the kind that page
templates write, never a word inside a sentence. What no rule knows is an article's: a missed piece of furniture costs less than a lost
paragraph. French and English.
"""

from __future__ import annotations

import re

MOST_WORDS = 60
"""A longer line is a paragraph, whatever it begins with."""

_NETWORK = (
    r"(?:facebook|x|twitter|instagram|linkedin|whatsapp|telegram|reddit|pinterest|messenger|bluesky|"
    r"mastodon|threads|tiktok|youtube|flipboard|google news|google actualités|e-?mail|courriel|mail|sms)"
)
_NETWORKS = (
    rf"{_NETWORK}(?:(?:\s*[,/|&]\s*|\s+(?:and|or|et|ou)\s+(?:on\s+|sur\s+)?|\s+){_NETWORK})*"
)
_THIS = r"(?:\s+(?:this|the|our|cet|cette|le|la|l['’]|notre)\s*(?:article|story|page|post|video|vidéo|lien|link))?"
_LETTER = (
    r"(?:newsletters?|briefings?|e-?mail alerts?|news alerts?|alerts?|inbox|infolettres?|lettres? d['’]information|"
    r"lettres? d['’]info|notifications|boîtes? (?:mail|e-?mail|aux lettres)|podcasts?|chaîne|channel|quotidienne|hebdomadaire)"
)
_OUTLET = r"(?:our|the|my|notre|nos|la|les?|sa|ma|cette|this)"
_AGENCY = (
    r"(?:afp|reuters|ap|ap photo|associated press|getty(?: images)?|epa|efe|dpa|belga|keystone|ats|shutterstock|istock|adobe stock|"
    r"unsplash|pexels|sipa|abaca|maxppp|bloomberg|hans lucas|capture d['’]écran|screenshot|handout|archives?|dr)"
)
_NAME = r"[^\W\d_][\w.'’-]*"
_WHEN = r"(?:\d{1,2}[\s/.:hH-]|\d{4}-|(?:lun|mar|mer|jeu|ven|sam|dim|mon|tue|wed|thu|fri|sat|sun|jan|feb|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\b)"

_LINES = {
    "link": r"""
        (?:(?:à|a)\s+)?lire\s+(?:aussi|également|(?:notre|nos|la\s+suite)\b.*|l['’](?:article|interview|enquête)\b.*)\s*(?:[:>»|–—-].*|)
      | (?:à|a)\s+(?:lire|voir|écouter)(?:\s+(?:aussi|également|ensuite))?\s*(?:[:>»|–—-].*|)
      | (?:voir|écouter|regarder)\s+(?:aussi|également)\s*(?:[:>»|–—-].*|)
      | (?:sur|dans)\s+l[ea]\s+même\s+(?:sujet|thème|rubrique)\s*(?::.*|)
      | (?:nos\s+)?(?:autres\s+)?articles?\s+(?:les\s+plus\s+lus|liés|recommandés|similaires|associés)\s*(?::.*|)
      | (?:les\s+)?(?:plus\s+lus|plus\s+populaires|plus\s+partagés)
      | lire\s+la\s+suite(?:\s+(?:de\s+l['’]article|sur\s+.{1,40}))?\s*[.…>»→]*
      | en\s+savoir\s+plus\s*[.…>»→]*
      | (?:read|see|watch|listen)\s+(?:also|next)\s*(?:[:>»|–—-].*|)
      | (?:also|further)\s+(?:read|reading)\s*(?:[:>»|–—-].*|)
      | see\s+also\s*(?:[:>»|–—-].*|)
      | read\s+(?:more|the\s+full\s+(?:story|article)|full\s+(?:story|article))\s*(?:[:>»|→…–—-].*|here\.?|)
      | read\s+more\s+(?:about|on|from|in|at)\s+[^.!?]{1,80}
      | (?:related|recommended|more\s+from|more\s+on\s+this\s+story|more\s+stories|trending(?:\s+now)?|most\s+(?:read|popular|viewed)|top\s+stories|you\s+(?:may|might)\s+also\s+like)
        (?:\s+(?:articles?|stories|reading|coverage|topics|content|links))?\s*(?::.*|)
      | (?:related|recommended)\s*:.*
    """,
    "newsletter": rf"""
        (?:sign\s+up|subscribe|register)\s+(?:now\s+|today\s+|here\s+)?(?:for|to|and\s+get|to\s+get)\s+.{{0,80}}\b{_LETTER}\b.*
      | get\s+.{{0,60}}\b(?:delivered|sent|straight)\b.{{0,30}}\b(?:inbox|e-?mail)\b.*
      | (?:sign\s+up|subscribe)(?:\s+(?:now|today|here|for\s+free))?\s*[.!>→]*
      | subscribe\s+to\s+{_OUTLET}\s+.{{0,60}}
      | (?:already\s+(?:a\s+subscriber|have\s+an\s+account)|not\s+a\s+subscriber(?:\s+yet)?)\s*\?.*
      | (?:log|sign)\s+in(?:\s+or\s+(?:register|sign\s+up|subscribe))?(?:\s+to\s+(?:continue|read|comment)\b.*|)\s*[.!]?
      | create\s+(?:a|your)\s+free\s+account\b.{{0,40}}
      | (?:this\s+(?:article|story|content)\s+is\s+(?:for|reserved\s+for|only\s+available\s+to)\s+subscribers).*
      | (?:inscrivez|abonnez)[-\s]vous\b.{{0,80}}\b(?:{_LETTER}|flux|compte)\b.*
      | (?:inscrivez|abonnez|connectez|identifiez)[-\s]vous(?:\s+(?:ici|maintenant|gratuitement|pour\s+(?:lire|continuer|commenter)\b.{{0,40}}))?\s*[.!>→]*
      | abonnez[-\s]vous\s+(?:à|au|aux|pour|dès|à\s+partir)\b.{{0,60}}
      | recevez\s+.{{0,80}}\b(?:{_LETTER}|e-?mail|mail|courriel)\b.*
      | (?:s['’]abonner|s['’]inscrire|se\s+connecter|je\s+m['’]abonne|je\s+m['’]inscris)(?:\s+(?:à|gratuitement|pour|dès)\b.{{0,50}}|)\s*[.!>→]*
      | déjà\s+(?:abonnée?|inscrite?|abonné\(e\)|un\s+compte)\s*\?.*
      | (?:cet\s+)?article\s+(?:est\s+)?réservé\s+(?:aux|à\s+nos)\s+abonnés.*
      | il\s+vous\s+reste\s+\d+(?:[.,]\d+)?\s*%\s+de\s+cet\s+article.*
      | (?:vous\s+pouvez\s+vous\s+désinscrire|you\s+can\s+unsubscribe)\b.*
    """,
    "cookies": r"""
        (?:we|our\s+(?:site|partners)|this\s+(?:web)?site|we\s+and\s+our\s+(?:\d+\s+)?partners)\s+(?:uses?|store|may\s+use|process)\s+.{0,60}\bcookies?\b.*
      | (?:by\s+(?:continuing|using|clicking)\b.{0,80}\b(?:cookies?|terms|privacy\s+policy)\b.*)
      | (?:accept|reject|manage|allow)(?:\s+(?:all|my|your|only\s+necessary))?\s+cookies?(?:\s+(?:settings|preferences))?\s*[.!]?
      | (?:cookie|privacy)\s+(?:settings|preferences|policy|notice)\s*[.!]?
      | (?:nous|notre\s+site|ce\s+site(?:\s+web)?|nos\s+partenaires|nous\s+et\s+nos\s+(?:\d+\s+)?partenaires)\s+(?:utilis\w+|stock\w+|dépos\w+|trait\w+)\s+.{0,60}\bcookies?\b.*
      | en\s+(?:poursuivant|continuant)\s+(?:votre|la|sur|à).{0,40}\b(?:navigation|naviguer|site)\b.*
      | (?:accepter|refuser|gérer|paramétrer|personnaliser)(?:\s+(?:tous?|mes|les|tous\s+les|vos))*\s+(?:cookies?|choix|préférences)\s*[.!]?
      | (?:accepter|refuser)\s+et\s+(?:continuer|fermer)\s*[.!]?
      | continuer\s+sans\s+accepter\s*[.!→]?
      | politique\s+(?:de\s+confidentialité|(?:relative\s+aux|de)\s+cookies)\s*[.!]?
      | mentions\s+légales\s*[.!]?
    """,
    "credit": rf"""
        (?:\(?\s*(?:photos?|crédits?(?:\s+photos?)?|image|illustration|photograph|picture|video|vidéo|credit|source)\s*(?:by|de|par|d['’]illustration)?\s*[:©]\s*.{{1,80}})
      | \(?\s*photo(?:graph)?\s+(?:by|de|par)\s+{_NAME}(?:\s+{_NAME}){{0,3}}\s*(?:[/,|(].{{0,50}})?
      | \(?\s*(?:{_NAME}\s+){{0,3}}[/–—-]?\s*{_AGENCY}(?:\s*[/,|]\s*(?:{_AGENCY}|{_NAME}(?:\s+{_NAME})?))*\s*\)?\s*
      | (?:©|\(c\)|copyright)\s*.{{0,80}}
      | (?:all\s+rights\s+reserved|tous\s+droits\s+réservés|toute\s+reproduction\s+interdite)\b.{{0,60}}
      | \(?(?:additional\s+)?(?:reporting|writing|editing)\s+by\s+.{{1,120}}
      | (?:avec|with)\s+{_AGENCY}\s*\.?
      | (?:publié|mis\s+à\s+jour|modifié|posté|publiée)\s+(?:le\s+|à\s+|il\s+y\s+a\s+|:\s*).{{1,50}}
      | (?:published|updated|posted|last\s+(?:updated|modified))\s*(?:on\s+|at\s+|:\s*)?{_WHEN}.{{0,40}}
      | (?:temps\s+de\s+lecture|lecture)\s*:?\s*\d+\s*min\w*\.?
      | \d+\s*(?:-|\s)?min(?:ute)?s?\s+(?:read|de\s+lecture)
    """,
    "share": rf"""
        (?:share|partager|partagez|tweeter|tweet|envoyer|send|e-?mail|print|imprimer|save|enregistrer|copy\s+link|copier\s+le\s+lien|commenter|comments?|commentaires?|réagir|signaler|répondre|reply|favoris)
        {_THIS}(?:\s+(?:on|via|to|by|with|sur|par|à|avec)\s+(?:{_NETWORKS}|un\s+ami|a\s+friend|friends|vos\s+amis))?\s*(?:\(?\d*\)?)\s*[.!:]?
      | (?:follow|join|like|find)\s+(?:us|me)\s+(?:on|at)\s+{_NETWORKS}\b.{{0,40}}
      | (?:suivez|rejoignez|retrouvez)[-\s]nous\s+(?:aussi\s+)?sur\s+{_NETWORKS}\b.{{0,40}}
      | {_NETWORK}(?:\s*[|/,•·]\s*{_NETWORK})+
      | \d+\s+(?:comments?|commentaires?|shares?|partages?|réactions?)
      | (?:leave\s+a\s+comment|post\s+a\s+comment|laisser\s+un\s+commentaire|voir\s+les\s+commentaires|show\s+comments|view\s+comments)\s*[.!]?
    """,
    "page": r"""
        (?:advertisement|advertising|publicité|sponsored(?:\s+content)?|contenu\s+sponsorisé|annonce|article\s+continues\s+(?:below|after\s+(?:the\s+)?advertisement)|la\s+suite\s+après\s+(?:cette|la)\s+publicité|story\s+continues\s+below\s*\w*)\s*[.!]?
      | (?:skip\s+to\s+(?:main\s+)?content|aller\s+au\s+contenu(?:\s+principal)?|back\s+to\s+top|retour\s+en\s+haut|menu|loading\b.{0,10}|chargement\b.{0,20}|home|accueil)\s*[.…]*
      | (?:this\s+(?:video|content)\s+(?:can\s+not|cannot|could\s+not|is\s+not)\b.{0,40}\b(?:played|loaded|available)\b.*)
      | (?:ce\s+contenu|cette\s+vidéo)\s+(?:n['’]est\s+pas\s+disponible|ne\s+peut\s+être\s+(?:lue|affiché)\w*)\b.{0,40}
      | (?:enable|activez|please\s+enable)\s+javascript\b.{0,60}
    """,
}
_RULES = {name: re.compile(pattern, re.IGNORECASE | re.VERBOSE) for name, pattern in _LINES.items()}
_BYLINE = re.compile(
    r"(?:[Pp]ar|[Bb]y|PAR|BY)\s+(?:[A-ZÀ-Ý][\w.'’-]+)(?:\s+(?:(?:et|and|de|du|van|von|le|la|avec|with)\s+)?[A-ZÀ-Ý][\w.'’-]+){0,5}"
    r"(?:\s*[,|–-]\s*[\w\s.'’]{1,40})?"
)
_MARKS = "•·*>»→▶►–—- \t\u00a0|"


def kind_of_furniture(line: str) -> str | None:
    """Which kind of furniture a line is: link, newsletter, cookies, credit, byline, share, page; None for the article's own."""
    line = line.strip(_MARKS)
    if not line or len(line.split()) > MOST_WORDS:
        return None
    for kind, rule in _RULES.items():
        if rule.fullmatch(line):
            return kind
    return "byline" if _BYLINE.fullmatch(line) else None
