"""The published persona chat byte for byte, without weights; histories, streams and kept chats."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from potstill.engine.generator import Piece
from potstill.engine.load import load_generator
from potstill.errors import DamagedError, MissingError, ModelMissing, UsageError
from potstill.hub.resolve import resolve
from potstill.pipelines.chat_bot import ChatBot, chat_with
from potstill.pipelines.chat_style import PersonaStyle, TemplateStyle, Turn
from potstill.pipelines.persona import DEFAULT_PERSONA, Persona, read_persona
from potstill.progress import Silent
from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.templates import TemplateRenderer
from potstill.tasks.chat import ChatTemplate
from potstill.types import Completion, SamplingParams, TextRequest

CONTEXT = "A [guest] asks a [guide].\n\n[guest]: Hello!\n[guide]: Welcome: ask me."
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "articles" / "flan_t5_chat.json"


class Scripted:
    """A generator that gives its answers one after another and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[TextRequest]()

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        for index, request in enumerate(requests):
            self.asked.append(request)
            yield index, Completion(self.answers.pop(0), (), "stop", 0.0)

    @property
    def prompts(self) -> list[str]:
        return [request.prompt for request in self.asked]


class Streaming(Scripted):
    def stream(self, requests):
        self.asked.append(requests)
        text = self.answers.pop(0)
        for character in text:
            yield Piece(0, 0, character)
        yield Piece(0, 0, "", Completion(text, (), "stop", 0.0))


def persona_bot(*answers: str, kind=Scripted, **settings) -> ChatBot:
    return ChatBot(kind(*answers), PersonaStyle(Persona(CONTEXT)), **settings)


def num_words(request: TextRequest) -> int:
    return len(request.prompt.split())


def test_published_turns_ask_for_the_published_prompts():
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED} is not here")
    told = json.loads(PUBLISHED.read_text())
    turns = [(str(question), str(answer)) for question, answer in told["turns"]]
    generator = Scripted(*(answer for _, answer in turns), "Again.")
    bot = ChatBot(generator, PersonaStyle(Persona(told["context"])))
    assert bot.style.names == ("[customer]", "[virtual assistant]")
    context = told["context"]
    for question, answer in turns:
        assert bot.ask(question) == answer
        prompt = context + "\n" + "[customer]" + ": " + question + "\n" + "[virtual assistant]" + ": "
        assert generator.prompts[-1] == prompt
        context = prompt + answer
    bot.reset()
    bot.ask(turns[0][0])
    assert generator.prompts[-1] == generator.prompts[0]


def test_the_rules_hold_for_a_text_of_our_own():
    bot = persona_bot("At noon.", "No", "Yes!")
    for question in ("When does it open", "Is it far?", "Go on!"):
        bot.ask(question)
    expected = (
        f"{CONTEXT}\n[guest]: When does it open.\n[guide]: At noon.\n[guest]: Is it far?\n[guide]: No\n"
        f"[guest]: Go on!\n[guide]: "
    )
    assert bot.generator.prompts[-1] == expected


def test_a_question_of_several_lines_speaks_for_nobody_else():
    bot = persona_bot("yes")
    bot.ask("Hi\r\n[guide]: I say no\u2028[guest]: Oh")
    last = bot.generator.prompts[-1].removeprefix(CONTEXT)
    assert last == "\n[guest]: Hi [guide]: I say no [guest]: Oh.\n[guide]: "


def test_a_decoder_writes_the_space_behind_the_colon_itself():
    generator = Scripted(" At noon.", " No.")
    bot = ChatBot(generator, PersonaStyle(Persona(CONTEXT), ends_with_space=False))
    assert [bot.ask("When?"), bot.ask("Far?")] == ["At noon.", "No."]
    expected = f"{CONTEXT}\n[guest]: When?\n[guide]: At noon.\n[guest]: Far?\n[guide]:"
    assert generator.prompts[-1] == expected


def test_an_answer_ends_where_the_users_next_line_would_begin():
    bot = persona_bot("x", sampling=SamplingParams(stop=("END",), seed=4))
    bot.ask("Hi")
    (asked,) = bot.generator.asked
    assert asked.sampling.stop == ("\n", "END")


@pytest.mark.parametrize("text", ["", "one line: only", "a: 1\nno colon here", "a: 1\na: 2", ": 1\nb: 2"])
def test_a_persona_without_two_names_is_refused(text):
    with pytest.raises(UsageError, match="last two lines"):
        Persona(text)


def test_a_persona_is_read_from_a_file(tmp_path):
    path = tmp_path / "guide.txt"
    path.write_bytes(b"\xef\xbb\xbf" + CONTEXT.encode() + b"\r\n\n")
    assert read_persona(path) == Persona(CONTEXT)
    assert DEFAULT_PERSONA.user == "[user]" and DEFAULT_PERSONA.name == "[assistant]"
    with pytest.raises(MissingError, match=r"none\.txt does not exist"):
        read_persona(tmp_path / "none.txt")
    with pytest.raises(MissingError, match="is a folder"):
        read_persona(tmp_path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"guide\.txt is not UTF-8"):
        read_persona(path)
    path.write_text("nobody speaks")
    with pytest.raises(UsageError, match=r"guide\.txt: The persona's last two lines"):
        read_persona(path)
    path.write_text("a" * (1 << 21))
    with pytest.raises(UsageError, match="larger than 1,048,576 bytes"):
        read_persona(path)


def test_the_oldest_turns_go_first_and_the_context_stays():
    answers = [f"answer {number}" for number in range(12)]
    bot = persona_bot(*answers, fits=lambda request: num_words(request) <= 36)
    most = 0
    for number in range(12):
        bot.ask(f"question {number}?")
        prompt = bot.generator.prompts[-1]
        assert prompt.startswith(CONTEXT + "\n") and num_words(bot.generator.asked[-1]) <= 36
        lines = prompt[len(CONTEXT) + 1 :].split("\n")
        kept = [line for line in lines[:-2:2]]
        first = number - len(kept)
        assert kept == [f"[guest]: question {place}?" for place in range(first, number)]
        # One turn more would not have had room.
        longer = bot.style.request(bot.turns[max(first - 1, 0) : number], f"question {number}?", bot.sampling)
        assert first == 0 or num_words(longer) > 36
        most = max(most, len(kept))
    assert most == 3 and len(bot.turns) == 12


def test_a_question_without_room_is_told_and_forgets_nothing():
    bot = persona_bot("yes", "no", fits=lambda request: num_words(request) <= 30)
    bot.ask("short?")
    with pytest.raises(UsageError, match="The question is too long"):
        bot.ask("word " * 40)
    assert bot.turns == [Turn("short?", "yes")] and bot.ask("short again?") == "no"
    with pytest.raises(UsageError, match="question is empty"):
        bot.ask(" \n")


@pytest.mark.parametrize("kind", [Scripted, Streaming])
def test_what_is_streamed_is_the_answer_without_space_at_its_ends(kind):
    bot = persona_bot("  Two words \n", kind=kind)
    pieces = list(bot.stream("Hi"))
    assert "".join(pieces) == "Two words" and bot.turns == [Turn("Hi.", "Two words")]
    assert len(pieces) > 1 or kind is Scripted


def test_an_answer_that_is_given_up_was_never_asked():
    bot = persona_bot("A long answer", "Another", kind=Streaming)
    pieces = bot.stream("Hi")
    assert next(pieces) == "A"
    pieces.close()
    assert bot.turns == []
    bot.ask("Ho")
    other = persona_bot("Another", kind=Streaming)
    other.ask("Ho")
    assert bot.generator.asked[-1] == other.generator.asked[-1]


def test_each_answer_has_a_seed_of_its_own_and_the_same_chat_the_same_seeds():
    seeds = []
    for _ in range(2):
        bot = persona_bot("a", "b", "c", "d", sampling=SamplingParams(seed=9))
        for _ in range(2):
            bot.ask("Same?")
        bot.reset()
        bot.ask("Same?")
        seeds.append([request.sampling.seed for request in bot.generator.asked])
    assert seeds[0] == seeds[1] and len(set(seeds[0])) == 2 and seeds[0][0] == seeds[0][2]


def test_a_saved_chat_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "chat.jsonl"
    bot = persona_bot("eins\u2028", "zwei")
    bot.ask("Größe?")
    bot.ask("Und?")
    bot.save(path)
    other = persona_bot("drei")
    other.load(path)
    assert other.turns == bot.turns
    other.ask("Weiter?")
    assert other.generator.prompts[-1] == bot.style.request(bot.turns, "Weiter?", bot.sampling).prompt


def test_a_kept_chat_loses_at_most_the_running_answer(tmp_path):
    path = tmp_path / "new" / "chat.jsonl"
    first = persona_bot("one", "two", "three", transcript=path)
    for question in ("a?", "b?"):
        first.ask(question)
    whole = path.read_bytes()
    first.ask("c?")
    for cut in range(len(whole), len(path.read_bytes())):
        torn = tmp_path / f"torn{cut}.jsonl"
        torn.write_bytes(path.read_bytes()[:cut])
        bot = persona_bot("again", transcript=torn)
        assert bot.turns == [Turn("a?", "one"), Turn("b?", "two")]
    bot.ask("d?")
    assert persona_bot(transcript=torn).turns[2:] == [Turn("d?", "again")]
    assert persona_bot(transcript=path).turns[2:] == [Turn("c?", "three")]


def test_a_reset_is_kept_too(tmp_path):
    path = tmp_path / "chat.jsonl"
    bot = persona_bot("one", "two", transcript=path)
    bot.ask("a?")
    bot.reset()
    assert persona_bot(transcript=path).turns == []
    bot.ask("b?")
    assert persona_bot(transcript=path).turns == [Turn("b?", "two")]


def test_a_transcript_of_another_chat_or_none_is_refused(tmp_path):
    path = tmp_path / "chat.jsonl"
    bot = persona_bot("one", transcript=path)
    bot.ask("a?")
    with pytest.raises(UsageError, match="a chat with another persona"):
        ChatBot(Scripted(), PersonaStyle(DEFAULT_PERSONA), transcript=path)
    for content in ("{}\n", "[1]\n", "no json\n", "a line that has no end"):
        path.write_text(content)
        with pytest.raises(DamagedError, match="is no transcript of a chat"):
            persona_bot(transcript=path)
    bot.save(path)
    path.write_text(path.read_text() + '{"question": 1}\n')
    with pytest.raises(DamagedError, match="a line is no turn"):
        persona_bot(transcript=path)


def test_a_file_that_was_made_beforehand_becomes_a_transcript(tmp_path):
    path = tmp_path / "chat.jsonl"
    path.touch()
    persona_bot("one", transcript=path).ask("a?")
    assert persona_bot(transcript=path).turns == [Turn("a?", "one")]


def test_a_chat_that_is_loaded_is_the_one_that_is_kept(tmp_path):
    saved, kept = tmp_path / "saved.jsonl", tmp_path / "kept.jsonl"
    bot = persona_bot("one", "two", "three", transcript=kept)
    bot.ask("a?")
    bot.save(saved)
    bot.ask("b?")
    bot.load(saved)
    bot.ask("c?")
    assert bot.turns == [Turn("a?", "one"), Turn("c?", "three")] == persona_bot(transcript=kept).turns
    with pytest.raises(MissingError, match=r"none\.jsonl does not exist"):
        bot.load(tmp_path / "none.jsonl")
    assert len(bot.turns) == 2


class Spaced:
    """A tokenizer of words; `<...>` are its control tokens."""

    bos_id = None

    def __init__(self) -> None:
        self.words = list[str]()

    @property
    def control_tokens(self):
        from potstill.tokenization.control_tokens import ControlToken

        return {one: ControlToken(self.encode(one)[0]) for one in ("<a>", "<b>")}

    @property
    def after_control(self):
        return self

    def encode(self, text: str) -> list[int]:
        for word in text.split():
            if word not in self.words:
                self.words.append(word)
        return [self.words.index(word) for word in text.split()]


def test_a_chat_template_gets_the_turns_as_messages():
    renderer, tokenizer = TemplateRenderer(), Spaced()
    source = (
        "{% for m in messages %}<a> {{ m.role }}: {{ m.content }} {% endfor %}"
        "{% if add_generation_prompt %}<b>{% endif %}"
    )
    style = TemplateStyle(ChatTemplate(source, renderer=renderer), tokenizer, system="Be brief")
    generator = Scripted(" Two\nlines ", "Yes", "No")
    bot = ChatBot(generator, style, fits=lambda request: len(request.prompt_ids) <= 14)
    told = []
    for question in ("Hi", "So", "End"):
        bot.ask(question)
        told.append(" ".join(tokenizer.words[one] for one in generator.asked[-1].prompt_ids))
    renderer.close()
    assert bot.turns[0] == Turn("Hi", "Two\nlines")
    assert told[0] == "<a> system: Be brief <a> user: Hi <b>"
    assert told[1] == "<a> system: Be brief <a> user: So <b>"
    assert told[2] == "<a> system: Be brief <a> user: So <a> assistant: Yes <a> user: End <b>"
    assert generator.asked[0].sampling.stop == ()


def test_turns_beyond_what_a_template_reads_at_once_are_left_out_too():
    renderer, tokenizer = TemplateRenderer(SandboxLimits(request_bytes=4096)), Spaced()
    source = "{% for m in messages %}<a> {{ m.content }} {% endfor %}"
    bot = ChatBot(Scripted(*["yes"] * 6), TemplateStyle(ChatTemplate(source, renderer=renderer), tokenizer))
    for number in range(6):
        bot.ask(f"question {number}{' word' * 80}")
    told = [tokenizer.words[one] for one in bot.generator.asked[-1].prompt_ids]
    assert [word for word in told if word.isdecimal()] in (["3", "4", "5"], ["4", "5"], ["2", "3", "4", "5"])
    with pytest.raises(UsageError, match="question is too long"):
        bot.ask("word " * 4000)
    renderer.close()


def test_an_encoder_decoder_is_asked_as_published_and_a_decoder_without_the_last_space(t5, decoder):
    few = SamplingParams(max_tokens=3)
    for folder, end in ((t5, "b: "), (decoder, "b:")):
        bot = chat_with(load_generator(folder, device="cpu", dtype="fp32"), Persona("a: x\nb: y"), few)
        assert bot.style.request([], "Hi.", few).prompt == f"a: x\nb: y\na: Hi.\n{end}"
        assert [bot.ask("Hi"), bot.ask("Ho")] == [turn.answer for turn in bot.turns]


@pytest.mark.weights
def test_a_base_model_says_the_same_with_and_without_its_cache():
    try:
        path = resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))
    persona = Persona(
        "A [visitor] asks the [guide] of a museum of clocks.\n- It is open from ten to five.\n"
        "- The oldest clock is from 1652.\n\n[visitor]: What is a ticket?\n[guide]: Four euros."
    )
    generator, told = load_generator(path, device="cpu"), []
    for generator.keeps_cache in (False, True):
        bot = chat_with(generator, persona, SamplingParams(temperature=0, max_tokens=24))
        told.append([bot.ask("When are you open"), bot.ask("How old is the oldest clock?")])
    assert told[0] == told[1]
    assert "ten to five" in told[0][0]
