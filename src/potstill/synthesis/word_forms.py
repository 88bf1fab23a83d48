"""Whether two words are forms of one: `Syria` and `Syrian`, `minister` and `ministry`.

They are when they share their beginning and go on with endings that inflect or derive. English only, and
by rule: `Niger` and `Nigeria`, `Johnson` and `Johnston` are strangers, `went` and `go` are too.
"""

from os.path import commonprefix

_MIN_SHARED = 4
# Endings of a base word that are replaced: at most one of the two words has one of these.
_BASE = frozenset({"a", "e", "o"})
_ENDINGS = """
    s es ies y n ns an ans ian ians ean eans ese i is ish ien er ers r rs or ors ar ary ic ics al ial ally
    ly ry ist ists ism ing ings ed d ion ions ment ments
"""
_DERIVED = frozenset(_ENDINGS.split()) | {""}
# After three letters only these: `war` and `Ward` are strangers.
_INFLECTED = frozenset({"", "s", "es", "ed", "ing"})

# Peoples whose name does not begin like their country's, or ends otherwise.
_COUNTRIES = {
    "france": "french frenchman frenchmen frenchwoman",
    "netherlands": "dutch dutchman dutchmen holland",
    "britain": "british briton britons uk",
    "spain": "spanish spaniard spaniards",
    "switzerland": "swiss",
    "greece": "greek greeks",
    "turkey": "turkish turk turks",
    "poland": "polish pole poles",
    "denmark": "danish dane danes",
    "sweden": "swedish swede swedes",
    "finland": "finnish finn finns",
    "ireland": "irish irishman irishmen irishwoman",
    "scotland": "scottish scots scot",
    "wales": "welsh",
    "england": "english englishman englishmen",
    "norway": "norwegian norwegians",
    "belgium": "belgian belgians",
    "lebanon": "lebanese",
    "portugal": "portuguese",
    "congo": "congolese",
    "cyprus": "cypriot cypriots",
    "peru": "peruvian peruvians",
    "philippines": "filipino filipinos filipina",
    "afghanistan": "afghan afghans",
    "kazakhstan": "kazakh kazakhs",
    "uzbekistan": "uzbek uzbeks",
    "kyrgyzstan": "kyrgyz",
    "tajikistan": "tajik tajiks",
    "serbia": "serb serbs",
    "croatia": "croat croats",
    "slovakia": "slovak slovaks",
    "slovenia": "slovene slovenes",
    "somalia": "somali somalis",
    "thailand": "thai thais",
    "europe": "eu european europeans",
    "us": "american americans",
}
_COUNTRY_OF = {people: country for country, names in _COUNTRIES.items() for people in names.split()}


def are_forms_of_one(first: str, second: str) -> bool:
    """Both lower-case, without a possessive ending."""
    if first == second or _COUNTRY_OF.get(first, first) == _COUNTRY_OF.get(second, second):
        return True
    if not (first.isalpha() and second.isalpha()):
        return False
    shared = len(commonprefix([first, second]))
    ending, other = sorted((first[shared:], second[shared:]), key=lambda each: each not in _BASE)
    if shared < _MIN_SHARED:
        inflect = {ending, other} <= _INFLECTED or {ending, other} == {"s", "d"}
        return shared == _MIN_SHARED - 1 and inflect
    if ending in _BASE:
        return other in _DERIVED and other != ""
    return ending in _DERIVED and other in _DERIVED
