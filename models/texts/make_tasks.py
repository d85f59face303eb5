"""Writes tasks.jsonl: plain questions with four choices, from the facts below.

    python models/texts/make_tasks.py

The facts are common knowledge, the sentences were written for this package, and all of it is
dedicated to the public domain (CC0). Wrong choices are right answers of other facts of the same
kind, drawn by a seeded generator, so that they are of the same sort and of like length.
"""

import json
import random
from pathlib import Path

OUT = Path(__file__).with_name("tasks.jsonl")
CHOICES = 4
SEED = 19

# A sentence with the place of the fact's first word -> facts, `first: second`.
FACTS = {
    "The capital of {} is": """
        France: Paris; Italy: Rome; Spain: Madrid; Germany: Berlin; Japan: Tokyo; Egypt: Cairo;
        Russia: Moscow; Greece: Athens; Portugal: Lisbon; Austria: Vienna; Norway: Oslo;
        Poland: Warsaw; Ireland: Dublin; Cuba: Havana; Peru: Lima; Kenya: Nairobi; Iran: Tehran;
        Hungary: Budapest; Finland: Helsinki; Thailand: Bangkok; Canada: Ottawa; Turkey: Ankara;
        South Korea: Seoul; Sweden: Stockholm; Denmark: Copenhagen; Belgium: Brussels""",
    "The opposite of {} is": """
        hot: cold; big: small; old: young; fast: slow; light: dark; wet: dry; rich: poor;
        open: closed; early: late; full: empty; high: low; long: short; hard: soft; loud: quiet;
        clean: dirty; sweet: bitter; strong: weak; deep: shallow; wide: narrow; sharp: blunt;
        happy: sad; brave: cowardly; thick: thin; true: false; first: last; always: never""",
    "More than one {} are called": """
        child: children; mouse: mice; foot: feet; tooth: teeth; man: men; goose: geese; ox: oxen;
        leaf: leaves; knife: knives; wolf: wolves; city: cities; baby: babies; box: boxes;
        church: churches; potato: potatoes; half: halves; woman: women; loaf: loaves;
        shelf: shelves; story: stories""",
    "Today I {0}; yesterday I": """
        go: went; see: saw; eat: ate; drink: drank; write: wrote; sing: sang; run: ran; buy: bought;
        think: thought; bring: brought; catch: caught; teach: taught; give: gave; take: took;
        come: came; know: knew; grow: grew; fly: flew; speak: spoke; break: broke; swim: swam;
        sleep: slept; keep: kept; leave: left; find: found; begin: began""",
    "Someone who {} is called a": """
        bakes bread: baker; teaches children: teacher; flies planes: pilot; grows crops: farmer;
        catches fish: fisherman; cuts hair: barber; makes clothes: tailor; mends teeth: dentist;
        works with wood: carpenter; heals the sick: doctor; sails ships: sailor;
        writes books: author;
        paints pictures: painter; lays bricks: bricklayer; looks after sheep: shepherd;
        plays music: musician; delivers letters: postman; sells meat: butcher;
        judges in court: judge;
        puts out fires: fireman""",
    "A young {} is called a": """
        dog: puppy; cat: kitten; cow: calf; horse: foal; sheep: lamb; goat: kid; pig: piglet;
        hen: chick; duck: duckling; goose: gosling; frog: tadpole; kangaroo: joey; swan: cygnet;
        deer: fawn; owl: owlet; bear: cub""",
    "You can {} with a": """
        cut paper: pair of scissors; drive in a nail: hammer; dig a hole: spade;
        sweep the floor: broom;
        write a letter: pen; eat soup: spoon; see far stars: telescope; tell the time: clock;
        measure heat: thermometer; cut wood: saw; comb your hair: comb; light a candle: match;
        open a lock: key; find north: compass; sew a button: needle; take a picture: camera;
        dry yourself: towel; keep off the rain: raincoat""",
    "The colour of {} is": """
        fresh snow: white; ripe tomatoes: red; grass in spring: green; the clear sky: blue;
        coal: black; a ripe banana: yellow; chocolate: brown; an elephant: grey; a carrot: orange;
        a violet: purple""",
    "The number after {} is": """
        three: four; six: seven; nine: ten; eleven: twelve; fifteen: sixteen; nineteen: twenty;
        twenty-nine: thirty; thirty-nine: forty; forty-nine: fifty; ninety-nine: one hundred;
        seven: eight; twelve: thirteen; seventeen: eighteen; one: two""",
    "Two times {} makes": """
        two: four; three: six; four: eight; five: ten; six: twelve; seven: fourteen; eight: sixteen;
        nine: eighteen; ten: twenty; fifty: one hundred; fifteen: thirty; twenty: forty""",
    "If you take {} you are left with": """
        two from five: three; one from ten: nine; four from eight: four; five from seven: two;
        three from nine: six; ten from twenty: ten; six from seven: one; two from ten: eight;
        five from twelve: seven; five from sixteen: eleven; three from eight: five;
        one from thirteen: twelve""",
    "The day after {} is": """
        Monday: Tuesday; Tuesday: Wednesday; Wednesday: Thursday; Thursday: Friday;
        Friday: Saturday; Saturday: Sunday; Sunday: Monday""",
    "The month after {} is": """
        January: February; February: March; March: April; April: May; May: June; June: July;
        July: August; August: September; September: October; October: November;
        November: December; December: January""",
    "The animal that {} is the": """
        gives us wool: sheep; barks at strangers: dog; has a trunk: elephant; makes honey: bee;
        has a long neck: giraffe; lays most of our eggs: hen;
        hops with its young in a pouch: kangaroo;
        is called king of beasts: lion; carries its house on its back: snail; builds dams: beaver;
        gives us most of our milk: cow; sleeps hanging upside down: bat; spins webs: spider;
        has black and white stripes: zebra; lives in the desert with a hump: camel;
        changes from a caterpillar: butterfly""",
    "Water {}": """
        that is frozen is called: ice; that falls from clouds is called: rain;
        that boils turns into: steam; with much salt fills the: sea;
        that falls in flakes is called: snow; that stands in the air near the ground is called: fog;
        that lies on grass in the morning is called: dew;
        that falls in hard lumps is called: hail""",
    "We {} with our": """
        see: eyes; hear: ears; smell: nose; taste: tongue; chew: teeth; breathe: lungs; walk: feet;
        think: brain; hold things: hands""",
    "A place where {} is a": """
        books are lent: library; the sick are cared for: hospital; children learn: school;
        trains stop: station; ships land: harbour; planes land: airport; money is kept: bank;
        plays are shown: theatre; bread is baked: bakery; old things are shown: museum;
        corn is ground: mill; prisoners are held: prison; cars are mended: garage;
        meals are served: restaurant; the dead are buried: graveyard""",
    "The author of {} was": """
        Hamlet: Shakespeare; Oliver Twist: Dickens; War and Peace: Tolstoy; Emma: Austen;
        Faust: Goethe; Don Quixote: Cervantes; the Iliad: Homer; Moby-Dick: Melville;
        Tom Sawyer: Twain; the Divine Comedy: Dante; Les Misérables: Hugo; Walden: Thoreau""",
    "People in {} mostly speak": """
        Brazil: Portuguese; Mexico: Spanish; Austria: German; Egypt: Arabic; Japan: Japanese;
        Australia: English; Poland: Polish; Greece: Greek; Hungary: Hungarian; Sweden: Swedish""",
    "An hour, a day, a year: {}": """
        one day has this many hours,: twenty-four; one minute has this many seconds,: sixty;
        one week has this many days,: seven; one year has this many months,: twelve;
        one century has this many years,: a hundred; one decade has this many years,: ten""",
    "{} is measured in": """
        Weight: kilograms; Distance: kilometres; Time: seconds; Temperature: degrees;
        Electric current: amperes; Electric power: watts; The content of a bottle: litres;
        Frequency: hertz; Force: newtons; Pressure: pascals""",
    "Planets and stars: {}": """
        we live on the planet: Earth; the red planet is: Mars;
        the planet nearest to the Sun is: Mercury;
        the largest planet is: Jupiter; the planet known for its rings is: Saturn;
        the star that warms us is the: Sun; what circles our planet once a month is the: Moon""",
}


def facts(text: str) -> list[tuple[str, str]]:
    """The pairs of one kind."""
    pairs = (" ".join(fact.split()).rpartition(": ") for fact in text.split(";"))
    return [(first, second) for first, _, second in pairs]


def items() -> list[dict]:
    """Every fact as an item, in the order above."""
    drawn = random.Random(SEED)
    written = []
    for sentence, text in FACTS.items():
        kind = facts(text)
        for first, right in kind:
            others = sorted({second for _, second in kind} - {right})
            choices = [right, *drawn.sample(others, CHOICES - 1)]
            drawn.shuffle(choices)
            written.append(
                {
                    "context": sentence.format(first),
                    "choices": [f" {choice}" for choice in choices],
                    "answer": choices.index(right),
                }
            )
    return written


def main() -> None:
    """Write the set."""
    lines = (json.dumps(item, ensure_ascii=False) for item in items())
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
