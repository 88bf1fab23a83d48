"""Grammars that cannot be used are refused soon and with the reason; the others are made ready once."""

import json
from time import perf_counter

import pytest

from constraints.small_vocabularies import allowed_ids, byte_tokenizer, spaced_tokenizer
from potstill.constraints.compile import GrammarCompiler, check_grammar
from potstill.constraints.trial import Trial
from potstill.errors import UsageError
from potstill.types import Grammar

DEEP = 100_000
TRIAL = Trial()
BYTES = byte_tokenizer()


def chain(num_rules):
    rules = "".join(f"\nr{at}: r{at + 1}" for at in range(num_rules))
    return f'start: r0{rules}\nr{num_rules}: "e"'


def chained_references(count):
    links = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(count)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{count}": {"type": "null"}}}


def crossed(num_rules, num_branches):
    """Each of the rules holds by one of its branches, and they exclude nothing: a product of branches."""
    rules = [
        {"anyOf": [{"properties": {f"p{rule}": {}, f"q{branch}": {}}} for branch in range(num_branches)]}
        for rule in range(num_rules)
    ]
    return {"allOf": rules}


def nested_arrays(depth):
    return '{"type": "array", "items": ' * depth + "{}" + "}" * depth


NASTY = {
    "repeats of repeats": ("regex", "(((a{1,100}){1,100}){1,100}){1,100}", "too many"),
    "brackets of an expression": ("regex", "(" * DEEP + "a" + ")" * DEEP, "nested"),
    "classes of an expression": ("regex", "[" * DEEP, "nested|unclosed"),
    "a look ahead": ("regex", "(?=a)b", "look-around"),
    "an expression of megabytes": ("regex", "ab" * (1 << 20), "2,097,152 bytes"),
    "arrays in arrays": ("json_schema", nested_arrays(30_000), "nested 30,000 deep|nested 30,001 deep"),
    "brackets only": ("json_schema", "[" * DEEP, "nested 100,000 deep"),
    "a deep constant": ("json_schema", '{"const": ' + "[" * DEEP + "]" * DEEP + "}", "nested 100,001 deep"),
    "references in a chain": ("json_schema", json.dumps(chained_references(8_000)), "too deeply"),
    "references in a ring": ("json_schema", '{"$ref": "#"}', "no text"),
    "an object in itself": (
        "json_schema",
        '{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}',
        "Too many items",
    ),
    "rules crossed with rules": ("json_schema", json.dumps(crossed(8, 10)), "too large"),
    "a large multiple": ("json_schema", '{"type": "integer", "multipleOf": 1000003}', "takes more than"),
    "patterns that all hold": (
        "json_schema",
        json.dumps({"allOf": [{"type": "string", "pattern": f".*{c}.*"} for c in "abcdefghijklmnop"]}),
        "takes more than|Unable to determine",
    ),
    "properties by the thousand": (
        "json_schema",
        json.dumps({"properties": {f"p{at}": {"type": "string"} for at in range(9_000)}}),
        "too deeply|takes more|too large|items",
    ),
    "a huge list of choices": (
        "choices",
        json.dumps([f"v {at}" for at in range(120_000)]),
        "bytes|takes more",
    ),
    "rules in a chain": ("lark", chain(20_000), "too deeply"),
    "rules in a ring": ("lark", "start: start", "no text"),
    "a billion repeats": ("lark", 'start: "a"{1000000000}', "Too many items"),
    "doubling terminals": (
        "lark",
        "start: T0" + "".join(f"\nT{at}: T{at + 1} T{at + 1}" for at in range(40)) + '\nT40: "a"',
        "too big|takes more",
    ),
    "brackets of rules": ("lark", "start: " + "(" * DEEP + '"a"' + ")" * DEEP, "too deeply nested"),
    "a schema in a rule": ("lark", f"start: %json {nested_arrays(5_000)}", "recursion limit"),
    "terminals that all hold": (
        "lark",
        "start: T\nT: " + " & ".join(f"/.*{c}.*/" for c in "abcdefghijklmnopqrstuvwxyz"),
        "too many",
    ),
}


@pytest.fixture(scope="module")
def compiler():
    return GrammarCompiler(BYTES, BYTES.vocab_size, trial=TRIAL)


@pytest.mark.parametrize("name", NASTY)
def test_a_grammar_that_explodes_is_refused_soon_with_the_reason(name, compiler):
    kind, source, reason = NASTY[name]
    TRIAL.start()
    started = perf_counter()
    with pytest.raises(UsageError, match=reason) as refused:
        compiler.compile(Grammar(kind, source))
    seconds = perf_counter() - started
    print(f"{name}: {seconds:.3f} s: {refused.value}")
    # Half a second on a machine with nothing else to do.
    assert seconds < 5
    assert len(str(refused.value)) < 500


HARMLESS = {
    "a plus of a plus": ("regex", "(a+)+"),
    "many repeats": ("regex", "a{1,1000000000}"),
    "a long tail": ("regex", ".*a.{20}"),
    "a long text": ("json_schema", '{"type": "string", "maxLength": 1000000000}'),
    "many items": ("json_schema", '{"type": "array", "maxItems": 1000000000, "items": {"type": "null"}}'),
    "a tree": ("json_schema", '{"type": "array", "items": {"$ref": "#"}}'),
    "a list of five thousand": ("choices", json.dumps([f"item {at}" for at in range(5_000)])),
    "rules in a short chain": ("lark", chain(100)),
    "what looks like a token": ("lark", 'start: "<[0]>" /<a>/ // <[1]>'),
    "a rule that begins with itself": ("lark", 'start: start "a" | "b"'),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_bad_is_followed(name, compiler):
    constraint = compiler.compile(Grammar(*HARMLESS[name]))
    for _ in range(20):
        ids = [token_id for token_id in allowed_ids(constraint) if token_id not in BYTES.eos_ids]
        if not ids:
            break
        constraint.take(ids[len(ids) // 2])


WRONG = {
    "an open bracket": ("regex", "(a", "unclosed group"),
    "no JSON": ("json_schema", '{"type": ', "line 1 column 10"),
    "no schema": ("json_schema", "17", "must be an object"),
    "an unknown type": ("json_schema", '{"type": "strin"}', "Invalid type: strin"),
    "a keyword that is not followed": (
        "json_schema",
        '{"properties": {"a": {"items": [{"uniqueItems": true}]}}, "type": "array", "uniqueItems": true}',
        "'uniqueItems' .at #/uniqueItems. is not supported",
    ),
    "a keyword further in": (
        "json_schema",
        '{"properties": {"a": {"not": {}}}}',
        "'not' .at #/properties/a/not. is not supported",
    ),
    "conditions": ("json_schema", '{"if": {}, "then": {}}', "'if' .at #/if., 'then' .at #/then."),
    "branches that are alike": (
        "json_schema",
        '{"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}',
        "'oneOf' .at #/oneOf.",
    ),
    "an unknown format": ("json_schema", '{"type": "string", "format": "nope"}', "Unknown format: nope"),
    "a schema elsewhere": ("json_schema", '{"$ref": "http://example.org/s"}', "example.org"),
    "a file": ("json_schema", '{"$ref": "file:///etc/passwd"}', "passwd"),
    "a schema that nothing meets": (
        "json_schema",
        '{"type": "integer", "minimum": 3, "maximum": 2}',
        "greater",
    ),
    "leniency asked for": ("json_schema", '{"not": {}, "x-guidance": {"lenient": true}}', "'not'"),
    "an unknown rule": ("lark", "start: other", "at 1.*unknown name"),
    "no start": ("lark", 'begin: "a"', "no start rule"),
    "a token by its id": (
        "lark",
        'start: "<[1]>"\n  | <[0]> "a"',
        "Line 2 of the grammar names a token, '<.0.>'",
    ),
    "a token by its name": ("lark", 'start: <|end|> "a"', "names a token"),
    "no list": ("choices", '{"a": 1}', "no list"),
    "an empty list": ("choices", "[]", "no list"),
    "a number among choices": ("choices", '["a", 1]', "Choice 1 is 1"),
    "an empty choice": ("choices", '["a", ""]', "at least a character"),
    "half a character": ("regex", "a\ud800", "Character 1"),
    "half a character among choices": ("choices", '["a", "b\\ud800"]', "Character 1 of choice 1 is no text"),
    "no text": ("regex", 3, "must be a text"),
    "an unknown kind": ("gbnf", "root ::= x", "one of regex, json_schema"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_grammar_is_refused_with_what_is_wrong_and_where(name, compiler):
    kind, source, reason = WRONG[name]
    with pytest.raises(UsageError, match=reason):
        compiler.compile(Grammar(kind, source))


def test_a_grammar_is_made_ready_once_and_every_text_gets_its_own(compiler):
    grammar = Grammar("regex", "[a-c]{500}")
    first = compiler.compile(grammar)
    first.take(allowed_ids(first)[0])
    started = perf_counter()
    second = compiler.compile(grammar)
    assert perf_counter() - started < 0.05
    assert second.num_valid([allowed_ids(first)[0]]) == 1
    first.undo(1)
    assert allowed_ids(first) == allowed_ids(second)


def test_a_grammar_is_checked_without_a_model():
    check_grammar(Grammar("regex", "a+"))
    with pytest.raises(UsageError, match="unclosed"):
        check_grammar(Grammar("regex", "(a"))


def test_json_is_spaced_as_python_spaces_it_unless_the_schema_says_otherwise(compiler):
    schema = {"const": {"a": [1, 2]}}
    forced = compiler.compile(Grammar("json_schema", json.dumps(schema))).forced()
    assert b"".join(map(BYTES.token_bytes, forced)).decode() in json.dumps({"a": [1, 2]})
    loose = {
        **schema,
        "x-guidance": {"whitespace_flexible": True, "item_separator": ",", "key_separator": ":"},
    }
    assert len(allowed_ids(compiler.compile(Grammar("json_schema", json.dumps(loose))))) > 1


def test_a_text_that_does_not_go_on_begins_with_the_space_that_its_vocabulary_puts_there():
    tokenizer = spaced_tokenizer()
    grammar = Grammar("choices", '["positive", "negative"]')
    own = GrammarCompiler(tokenizer, tokenizer.vocab_size, goes_on=False, trial=TRIAL).compile(grammar)
    assert own.num_valid(tokenizer.encode("positive")) == len(tokenizer.encode("positive"))
    assert all(tokenizer.token_bytes(token_id).startswith(b" ") for token_id in allowed_ids(own))
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, goes_on=False, trial=TRIAL)
    assert compiler.unmet(grammar, "positive") == () != compiler.unmet(grammar, "posit")
    going_on = GrammarCompiler(tokenizer, tokenizer.vocab_size, trial=TRIAL).compile(grammar)
    assert not any(tokenizer.token_bytes(token_id).startswith(b" ") for token_id in allowed_ids(going_on))
