package match

import "strings"

// nhsNumber reads an NHS number, 0 when the check digit (modulus 11, NHS Data
// Dictionary) says that it is not one: a mistyped number must not act as
// another child's.
func nhsNumber(s string) uint64 {
	d := compact(s)
	if len(d) != 10 {
		return 0
	}
	var n uint64
	sum := 0
	for i := range 10 {
		c := int(d[i]) - '0'
		if c < 0 || c > 9 {
			return 0
		}
		n = n*10 + uint64(c)
		if i < 9 {
			sum += c * (10 - i)
		}
	}
	check := (11 - sum%11) % 11
	if check == 10 || uint64(check) != n%10 {
		return 0
	}
	return n
}

// normalUPN keeps any text of a UPN's length. Check letters are not asked for:
// many real ones fail, and a wrong number that two agencies share is still the
// same child's.
func normalUPN(s string) string {
	u := strings.ToUpper(compact(s))
	if len(u) != 13 {
		return ""
	}
	return u
}

// isTemporaryUPN reports a last letter: schools give a temporary number while
// the permanent one is sought, so another number is no contradiction.
func isTemporaryUPN(u string) bool {
	return u[12] >= 'A' && u[12] <= 'Z'
}

// telephones reads each number's last ten digits, which are the same with and
// without +44. Shorter numbers and repeats of one digit are left out.
func telephones(list []string) []uint64 {
	var out []uint64
	for _, s := range list {
		if n, ok := lastTenDigits(s); ok {
			out = append(out, n)
		}
	}
	return out
}

func lastTenDigits(s string) (n uint64, ok bool) {
	count, first, varied := 0, byte(0), false
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			continue
		}
		n = (n*10 + uint64(c-'0')) % 1e10
		if count++; count == 2 {
			first = c // the leading 0 does not count as a digit that varies
		} else if count > 2 && c != first {
			varied = true
		}
	}
	return n, count >= 7 && varied
}

func emails(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.ToLower(strings.TrimSpace(s)); strings.Contains(s, "@") {
			out = append(out, s)
		}
	}
	return out
}
