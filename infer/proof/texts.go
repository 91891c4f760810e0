package proof

// text is a fixed text that a model may know.
type text struct {
	kind string // in words, "a tale for children"
	body string
}

// tale is a kind of story that small models are trained on, and large ones know
// as well. It is finished, so a chat may end after it.
const tale = "Once upon a time, in a high mountain village, there lived a cheerful llama named Nora. " +
	"Every evening Nora dreamed that one day it would be time to find the lost silver bell. " +
	"One morning Nora packed a small bag and set out for the mountains. But on the way the river had grown too wide to cross. " +
	"Then Nora met a tired duck resting under a stone. \"Walk slowly and listen,\" said the duck. " +
	"So Nora lit a small lamp and counted every step. In the end Nora came home grateful, and the duck came too. " +
	"And every year after, they met again at the same place."

// ask is what tale answers in a chat.
const ask = "Write a story about a llama."

// english is read first: kinds of text in plain English, of which a model for
// English knows at least one. The prose is the first article of the Universal
// Declaration of Human Rights, which is in the training data of most models.
var english = []text{
	{"a tale", tale},
	{"prose", "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience " +
		"and should act towards one another in a spirit of brotherhood."},
	{"code", "def factorial(n):\n    if n == 0:\n        return 1\n    return n * factorial(n - 1)\n\n\nfor i in range(10):\n    print(i, factorial(i))\n"},
	{"questions and answers", "Question: What is the capital of France?\nAnswer: The capital of France is Paris.\n\n" +
		"Question: How many days are there in a week?\nAnswer: There are seven days in a week.\n"},
}

// others is read when none in English is known: the same article.
var others = []text{
	{"Chinese", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"},
	{"Spanish", "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros."},
	{"French", "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité."},
	{"German", "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen."},
	{"Japanese", "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。"},
	{"Russian", "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства."},
	{"Portuguese", "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade."},
	{"Korean", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."},
	{"Arabic", "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء."},
}

// known are beginnings that go on in one way for everybody who knows English.
var continuations = []struct{ begin, next string }{
	{"The capital of France is", " Paris"},
	{"Once upon a", " time"},
	{"Monday, Tuesday, Wednesday,", " Thursday"},
	{"The opposite of hot is", " cold"},
	{"one, two, three, four,", " five"},
	{"The United States of", " America"},
}

// prompts are continued greedily, the first ones in the chat format where there
// is one.
var prompts = []struct {
	text   string
	raw    bool
	tokens int // at most
}{
	{ask, false, 64},
	{"Once upon a time", true, 32},
	{"What is the capital of France?", false, 16},
	{"The best way to learn is", true, 16},
}
