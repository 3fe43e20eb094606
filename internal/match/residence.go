package match

// compareResidence weighs postcode and address as one thing: they change
// together when a family moves, so counting both would count a move twice.
func compareResidence(a, b *Features) Level {
	street, number := compareStreet(&a.Address, &b.Address)
	house := street == equal && number == equal
	if a.Postcode == "" || b.Postcode == "" {
		switch {
		case street == NotCompared:
			return NotCompared
		case house:
			return residenceAddress
		case street == equal && number == NotCompared:
			return residenceStreet
		case street == equal:
			return residenceStreetName
		}
		return residenceOther
	}
	samePostcode := a.Postcode == b.Postcode
	town := alikeStreets(a.Address.Town, b.Address.Town)
	nearPostcode := samePostcode || osa(a.Postcode, b.Postcode, 1) == 1
	switch {
	case house && nearPostcode:
		return residenceSame
	case house:
		return residenceAddress
	case nearPostcode && street == equal:
		return residenceStreet
	case nearPostcode && (town || number == equal):
		return residencePostcodeTown
	case samePostcode:
		return residencePostcode
	case street == equal, town && number == equal:
		return residenceStreetName
	case sector(a.Postcode) == sector(b.Postcode):
		return residenceSector
	case town:
		return residenceTown
	case outward(a.Postcode) == outward(b.Postcode):
		return residenceOutward
	}
	return residenceOther
}

// compareStreet compares street and house number. Premises without a number
// agree when their whole address nearly does.
func compareStreet(a, b *Address) (street, number Level) {
	if a.Words == "" || b.Words == "" {
		return NotCompared, NotCompared
	}
	if a.Number == "" && b.Number == "" {
		same := sameOrNot(a.Words == b.Words || jaroWinkler(a.Words, b.Words) >= 0.92)
		return same, same
	}
	if a.Number != "" && b.Number != "" {
		number = sameOrNot(a.Number == b.Number)
	}
	return sameOrNot(alikeStreets(a.Street, b.Street)), number
}

func alikeStreets(a, b string) bool {
	if a == b {
		return a != ""
	}
	slips := slipsAllowed(a, b)
	return slips > 0 && (osa(a, b, slips) <= slips || jaroWinkler(a, b) >= 0.92)
}
