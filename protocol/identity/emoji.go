package identity

// Emoji is one of the 64 pictures of [SAS] and its English name, the key of
// its translations.
type Emoji struct{ Symbol, Name string }

// emoji is part of the protocol: the order must not change (spec §3.9). Each
// is a single code point of Unicode 6 to 9, unlike the others in shape and
// name.
var emoji = [64]Emoji{
	{"🐕", "dog"}, {"🐈", "cat"}, {"🐎", "horse"}, {"🐄", "cow"},
	{"🐖", "pig"}, {"🐑", "sheep"}, {"🐇", "rabbit"}, {"🐘", "elephant"},
	{"🐢", "turtle"}, {"🐍", "snake"}, {"🐟", "fish"}, {"🐙", "octopus"},
	{"🐧", "penguin"}, {"🦉", "owl"}, {"🐝", "bee"}, {"🦋", "butterfly"},
	{"🐌", "snail"}, {"🌵", "cactus"}, {"🌲", "tree"}, {"🌻", "sunflower"},
	{"🍄", "mushroom"}, {"🌙", "moon"}, {"🌈", "rainbow"}, {"🔥", "fire"},
	{"🍎", "apple"}, {"🍌", "banana"}, {"🍇", "grapes"}, {"🍓", "strawberry"},
	{"🌽", "corn"}, {"🥕", "carrot"}, {"🍞", "bread"}, {"🧀", "cheese"},
	{"🍕", "pizza"}, {"🎂", "cake"}, {"🍷", "wine"}, {"🏠", "house"},
	{"🚗", "car"}, {"🚲", "bicycle"}, {"🚂", "train"}, {"🚀", "rocket"},
	{"🎈", "balloon"}, {"🎁", "gift"}, {"🎸", "guitar"}, {"🎺", "trumpet"},
	{"🥁", "drum"}, {"🔔", "bell"}, {"🔑", "key"}, {"🔒", "lock"},
	{"🔨", "hammer"}, {"🔧", "wrench"}, {"💡", "lamp"}, {"📕", "book"},
	{"📎", "paperclip"}, {"🔭", "telescope"}, {"📷", "camera"}, {"📞", "telephone"},
	{"👑", "crown"}, {"🎩", "hat"}, {"👓", "glasses"}, {"👟", "shoe"},
	{"🌂", "umbrella"}, {"🏆", "trophy"}, {"🎲", "dice"}, {"💎", "diamond"},
}
