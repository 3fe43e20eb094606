package bench

import (
	"testing"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// TestPeople makes the beginning of the area twice: every record fits the
// standard, no two are of one name, and both times are alike.
func TestPeople(t *testing.T) {
	t.Parallel()
	const n = 3000
	once, again := &people{today: standard.Today()}, &people{today: standard.Today()}
	var sharing, twice int
	named, addresses := map[string]bool{}, map[string]int{}
	for i := range n {
		p := once.next()
		for j, r := range p.records {
			if named[r.GetName()] {
				t.Fatalf("two records are called %s", r.GetName())
			}
			named[r.GetName()] = true
			checkRecord(t, r)
			if !proto.Equal(r, again.groupOf(i)[i%group].records[j]) {
				t.Fatalf("child %d is another the second time", i)
			}
		}
		addresses[p.records[0].GetAddressLines()[0]+p.records[0].GetPostcode()]++
		if len(p.records) > 1 {
			twice++
		}
	}
	for _, children := range addresses {
		if children > 1 {
			sharing += children
		}
	}
	if once.taken() != n || sharing < n/3 || sharing > n*9/10 || twice < n/20 || twice > n/4 {
		t.Errorf("of %d children %d live with another and %d have two records", once.taken(), sharing, twice)
	}
}

// Strangers are people like others, but no neighbours of each other, and each is handed
// out once.
func TestStrangers(t *testing.T) {
	t.Parallel()
	p := &people{today: standard.Today()}
	names, lately := map[string]bool{}, map[string]int{}
	for i := range 1000 {
		one := p.stranger().records[0]
		checkRecord(t, one)
		if names[one.GetName()] {
			t.Fatalf("%s was handed out twice", one.GetName())
		}
		names[one.GetName()] = true
		if before, seen := lately[one.GetPostcode()]; seen && i-before < 128 {
			t.Errorf("number %d lives where number %d does", i, before)
		}
		lately[one.GetPostcode()] = i
	}
	if p.taken() != 0 {
		t.Errorf("%d of the others are taken", p.taken())
	}
}

func checkRecord(t *testing.T, given *irtv1.ChildRecord) {
	t.Helper()
	r := proto.CloneOf(given)
	standard.Normalise(r)
	if faults, _ := standard.Check(r, standard.Options{}); len(faults) > 0 {
		t.Fatalf("%s: %v", r.GetName(), faults)
	}
}

func TestRankingDrawsByRank(t *testing.T) {
	t.Parallel()
	k := newRanking(1, []string{"a", "b", "c"})
	count := map[string]int{}
	r := chance(1)
	for range 11_000 {
		count[k.draw(r)]++
	}
	// 6 : 3 : 2 elevenths, and far from chance's reach.
	for name, want := range map[string]int{"a": 6000, "b": 3000, "c": 2000} {
		if got := count[name]; got < want-500 || got > want+500 {
			t.Errorf("%s was drawn %d times of 11,000, not about %d", name, got, want)
		}
	}
}
