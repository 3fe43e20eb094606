package match

// spoken is a name as it is said, its vowels told apart, so that two spellings
// of one name are one and two names that only sound alike are not: Jaxon and
// Jackson, Poppy and Poppie, Kaitlyn and Caitlin; but Amelia and Emilia, Jayden
// and Jaydon. It is stricter than sound, which blocks.
type spoken struct {
	at [maxLetters]byte
	n  int
}

// saidAlike reports two names of Latin letters that are said the same.
func saidAlike(a, b string) bool {
	if len(a) < 3 || len(b) < 3 || !isASCII(a) || !isASCII(b) {
		return false
	}
	if d := len(a) - len(b); d > 3 || d < -3 {
		return false
	}
	var x, y spoken
	x.read(a)
	y.read(b)
	return x.n > 1 && x.n == y.n && x.at == y.at
}

// say adds a sound; one said twice is said once.
func (p *spoken) say(c byte) {
	if p.n < maxLetters && (p.n == 0 || p.at[p.n-1] != c) {
		p.at[p.n] = c
		p.n++
	}
}

func (p *spoken) read(s string) {
	s = withoutSilentE(s)
	for i := 0; i < len(s); {
		rest := s[i:]
		if isVowel(rest[0]) {
			i += p.vowel(rest)
			continue
		}
		i += p.consonant(rest, i)
	}
}

// withoutSilentE drops a last e that lengthens no vowel: Anne, Clarke, Brooke,
// but not Jane.
func withoutSilentE(s string) string {
	n := len(s)
	if n < 4 || s[n-1] != 'e' || isVowel(s[n-2]) || isVowel(s[n-3]) && !isVowel(s[n-4]) {
		return s
	}
	return s[:n-1]
}

// vowel reads one or two vowels, and how many letters they are.
func (p *spoken) vowel(s string) int {
	if len(s) > 1 {
		switch s[:2] {
		case "ie", "ee", "ey", "ii":
			if s[:2] != "ey" || len(s) == 2 {
				p.say('i')
				return 2
			}
			p.say('E')
			return 2
		case "ai", "ay", "ei", "ae":
			p.say('E')
			return 2
		case "ou", "oo", "uu":
			p.say('u')
			return 2
		}
	}
	if s[0] == 'y' {
		p.say('i')
	} else {
		p.say(s[0])
	}
	return 1
}

// consonant reads one sound of s, which stands at the given place of the name.
func (p *spoken) consonant(s string, at int) int {
	var next byte
	if len(s) > 1 {
		next = s[1]
	}
	switch {
	case s[0] == 'h' && at > 0 && !isVowel(next):
		return 1 // Sarah, John
	case next == 'h':
		return p.aspirate(s[0])
	case s[0] == 'c' && (next == 'e' || next == 'i' || next == 'y'):
		p.say('s')
	case s[0] == 'c', s[0] == 'q':
		p.say('k')
	case s[0] == 'x':
		p.say('k')
		p.say('s')
	default:
		p.say(s[0])
	}
	return 1
}

// aspirate reads a consonant with h behind it.
func (p *spoken) aspirate(c byte) int {
	switch c {
	case 'p':
		p.say('f')
	case 's':
		p.say('S')
	case 'c':
		p.say('C')
	case 'q':
		p.say('k')
	default: // Khan, Thomas, Rhian
		p.say(c)
	}
	return 2
}

// sameStem reports the forms of one family name for men and women, as Slavic
// and Baltic languages have them: Kowalski and Kowalska, Ivanov and Ivanova.
func sameStem(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	n := len(a)
	switch len(b) - n {
	case 0:
		return n > 4 && a[:n-1] == b[:n-1] && (hasSuffix(a, "ki") && hasSuffix(b, "ka") || hasSuffix(a, "ka") && hasSuffix(b, "ki"))
	case 1:
		return n > 4 && b[:n] == a && b[n] == 'a' && (hasSuffix(a, "ov") || hasSuffix(a, "ev") || hasSuffix(a, "in"))
	}
	return n > 4 && hasSuffix(a, "as") && (b == a[:n-2]+"iene" || b == a[:n-2]+"aite")
}

func hasSuffix(s, end string) bool { return len(s) >= len(end) && s[len(s)-len(end):] == end }
