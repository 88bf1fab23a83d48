"""The words that sentence borders hang on: abbreviations, sentence starters, verbs of saying."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A period after one of these never ends a sentence: a name, a number or an explanation follows.
NEVER_LAST = _words(
    """Mr Mrs Ms Mx Dr Prof Gen Col Maj Capt Cmdr Cpl Lt Sgt Pfc Adm Brig Sen Rep Gov Pres Rev Fr Hon Supt
    Insp Det Messrs Mme Mlle Sra Srta Mt Ft Pt Pte Amb Atty Msgr e.g i.e vs viz cf approx esp incl resp z.B
    d.h bzw ggf ca Wm Chas Geo Jas Thos"""
)

# These stand before a number, and are ordinary words or rare otherwise.
BEFORE_NUMBER = _words(
    """No Nos Nr Vol Vols Fig Figs Eq Eqs Art Sec Sect Ch Chap Ed p pp Par Rev Ver Tel Ext Op Opp Bd Ref
    Refs Tab Abb App Apps Rte Thm Lem Prop Cor Def núm"""
)

# A sentence may end here: it did when the next word is one that starts sentences.
MAYBE_LAST = _words(
    """Inc Corp Co Cos Ltd LLC Bros Jr Sr Esq St Ave Blvd Rd Ln Hwy Pkwy Bldg Dept Univ Assn Intl Natl Est Mfg
    Ph.D Phd al Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Ky La Md Mass Mich Minn Miss Mo Mont Neb
    Nev Okla Ore Pa Tenn Tex Va Vt Wash Wis Wyo Ont Que min hr hrs sec ft in oz lb lbs kg cm mm km mph est
    Str usw EE.UU S.p.A"""
)

# A capital letter after one of these starts a sentence, unless it belongs to the time.
TIME_AND_LISTS = _words(
    """a.m p.m A.M P.M etc Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs
    Fri Sat Sun"""
)

# Abbreviations that, written small, are words of their own.
ALSO_WORDS = _words(
    """no nos art fig figs ed par ref tab mar jun sat sun wed mon thu del ill ind la mass miss mo pa wash ore
    in rep app"""
)

TIME_WORDS = _words(
    """Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mon Tue Tues Wed Thu Thurs Fri Sat Sun
    January February March April May June July August September October November December Jan Feb Mar Apr Jun
    Jul Aug Sep Sept Oct Nov Dec EST EDT CST CDT MST MDT PST PDT ET CT MT PT GMT UTC BST CET CEST IST JST
    Eastern Central Mountain Pacific"""
)

MONTHS = _words(
    """January February March April May June July August September October November December Januar Februar
    März Mai Juni Juli Oktober Dezember"""
)

# Titles whose own name ends with an exclamation mark.
NAMES_WITH_MARK = _words("Yahoo Jeopardy Oklahoma Yum Joomla yahoo jeopardy")

STARTERS = _words(
    """A About Above According Across Actually After Afterwards Again Against All Almost Along Already Also
    Although Always Am Among An And Another Any Anyone Are As Aside Ask At Back Because Before Behind Below
    Besides Between Beyond Both But By Can Clearly Consequently Could Critics Despite Did Do Does Don't Due
    During Each Earlier Either Elsewhere Even Eventually Every Everyone Everything Except Experts Few Fewer
    Finally First For Four Fortunately From Further Furthermore Given Had Half Has Have Having He He's Hence
    Her Here His How However I I'd I'll I'm I've If In Indeed Instead Investors Is It It's Its Just Last Later
    Less Let Let's Like Many Maybe Me Meanwhile More Moreover Most Much My Near Nearly Neither Never
    Nevertheless Next No Nobody None Nonetheless Nor Not Nothing Now Of Officials Often On Once One Only Or
    Other Others Our Out Over People Perhaps Police Previously Prices Rather Recently Researchers Sales
    Scientists Second Several Shares She She's Should Similarly Since So Some Someone Something Sometimes
    Soon Still Such Suddenly Ten Than Thank That That's The Their Them Then There There's Thereafter
    Therefore These They They're Third This Those Though Three Through Throughout Thus Till To Today
    Together Tomorrow Tonight Too Toward Traders Two Under Unfortunately Unlike Until Up Upon Us Was We We'll
    We're Well Were What When Whenever Where Whereas Whether Which While Who Whoever Whose Why Will With
    Within Without Witnesses Would Yes Yesterday Yet You Your"""
)

# In text without capitals only words that hardly stand in the middle after an abbreviation count.
SMALL_STARTERS = _words(
    """but he however i it meanwhile she the there these they this those we what when why you although
    nevertheless moreover"""
)

SAYING = _words(
    """said says say asked asks answered added agreed announced argued barked began called claimed complained
    continued cried declared demanded exclaimed explained gasped growled insisted interrupted laughed muttered
    murmured observed offered pleaded promised read reads remarked replied repeated roared screamed shouted
    sighed snapped sobbed stammered stated suggested told tweeted urged wailed warned whispered wondered wrote
    yelled"""
)
