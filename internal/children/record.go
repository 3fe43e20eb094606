package children

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// record is one version of a child record. Once made or read it never changes;
// a new version is a new record.
type record struct {
	id        uuid.UUID
	agency    string
	localID   string
	childID   uuid.UUID
	state     irtv1.ChildRecordState
	person    *irtv1.ChildRecord // the person fields alone
	queries   []string           // "RULE_ID field"
	matched   matched
	created   time.Time
	knownFrom time.Time
	revision  int32
	keysOf    int16 // the match.KeyVersion of its keys in match_keys

	prepared *match.Features
	blocking []uint64
}

// matched is how a record came to its child, as it is stored with it.
type matched struct {
	decision    irtv1.MatchDecision
	probability float32
	weight      float32
	rule        string
	model       string
	evidence    []byte // encodeEvidence
}

// features prepares the record for matching, once.
func (r *record) features() *match.Features {
	if r.prepared == nil {
		f := match.Prepare(personOf(r.person))
		r.prepared = &f
	}
	return r.prepared
}

// keys are the record's blocking keys, made once. A record that is not in force
// has none, and neither has one that does not exist (nil).
func (r *record) keys() []uint64 {
	if r == nil || r.state != irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE {
		return nil
	}
	if r.blocking == nil {
		r.blocking = match.Keys(r.features())
	}
	return r.blocking
}

// personOf is what matching looks at. The telephones and e-mail addresses of
// carers count as the child's: they are how records of one family agree.
func personOf(r *irtv1.ChildRecord) match.Person {
	p := match.Person{
		GivenName: r.GetGivenName(), MiddleNames: r.GetMiddleNames(), FamilyName: r.GetFamilyName(),
		PreferredGivenName: r.GetPreferredGivenName(), FormerFamilyNames: r.GetFormerFamilyNames(),
		DateOfBirth: r.GetDateOfBirth(), Sex: r.GetSex(),
		Postcode: r.GetPostcode(), AddressLines: r.GetAddressLines(),
		NHSNumber: r.GetNhsNumber(), UPN: r.GetUpn(),
	}
	p.Telephones = appendText(p.Telephones, r.GetTelephone())
	p.Emails = appendText(p.Emails, r.GetEmail())
	for _, c := range r.GetCarers() {
		p.Telephones = appendText(p.Telephones, c.GetTelephone())
		p.Emails = appendText(p.Emails, c.GetEmail())
	}
	return p
}

func appendText(list []string, s string) []string {
	if s == "" {
		return list
	}
	return append(list, s)
}

func (r *record) name() string { return "agencies/" + r.agency + "/childRecords/" + r.localID }

func (r *record) etag() string { return rpc.Etag(r.id, r.revision) }

func etagOf(r *record) string {
	if r == nil {
		return ""
	}
	return r.etag()
}

// message is the record as agencies see it.
func (r *record) message() *irtv1.ChildRecord {
	m := proto.CloneOf(r.person)
	m.Name = r.name()
	m.Child = rpc.ChildName(r.childID)
	m.State = r.state
	m.Queries = queryMessages(r.queries)
	m.CreateTime, m.UpdateTime = timestamp(r.created), timestamp(r.knownFrom)
	m.Etag = r.etag()
	return m
}

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

// queryTexts is how queries are stored: what they say of the rule is looked up
// again when they are read, so that it can be said better later.
func queryTexts(faults []standard.Fault) []string {
	out := make([]string, len(faults))
	for i, f := range faults {
		out[i] = f.RuleID + " " + f.Field
	}
	return out
}

func queryMessages(stored []string) []*irtv1.Query {
	out := make([]*irtv1.Query, len(stored))
	for i, s := range stored {
		id, field, _ := strings.Cut(s, " ")
		out[i] = &irtv1.Query{RuleId: id, Field: field}
		if rule, ok := standard.RuleByID(id); ok {
			out[i].Description, out[i].Action = rule.Description, rule.Action
		}
	}
	return out
}

// recordHead are the columns of child_records that stand before those of the person.
var recordHead = []string{"record_id", "agency_id", "local_id", "child_id", "state"}

// recordColumns are the columns of child_records, in the order of scanRecord
// and (*record).values.
var recordColumns = append(append(slices.Clone(recordHead), personList...),
	"queries", "match_decision", "match_probability", "match_weight", "match_rule_id", "match_model_version",
	"match_evidence", "create_time", "known_from", "revision", "match_key_version")

var recordList = strings.Join(recordColumns, ", ")

// values are the record's columns for COPY.
func (r *record) values() ([]any, error) {
	v := make([]any, 0, len(recordColumns))
	v = append(v, [16]byte(r.id), r.agency, r.localID, [16]byte(r.childID), int32(r.state))
	v, err := appendValues(v, r.person.ProtoReflect(), recordField)
	if err != nil {
		return nil, err
	}
	queries := r.queries
	if queries == nil {
		queries = []string{}
	}
	return append(v, queries, int32(r.matched.decision), r.matched.probability, r.matched.weight,
		r.matched.rule, r.matched.model, nonNil(r.matched.evidence), r.created, r.knownFrom, r.revision, r.keysOf), nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// scanRecords reads rows of recordColumns.
func scanRecords(rows pgx.Rows) ([]*record, error) {
	all, err := pgx.CollectRows(rows, recordScan())
	if err != nil {
		return nil, fmt.Errorf("children: reading records: %w", err)
	}
	return all, nil
}

// recordScan makes what reads such rows.
func recordScan() func(pgx.CollectableRow) (*record, error) {
	var c pg.Columns
	return func(row pgx.CollectableRow) (*record, error) {
		r := &record{person: &irtv1.ChildRecord{}}
		var state, decision int16
		into := append([]any{(*[16]byte)(&r.id), &r.agency, &r.localID, (*[16]byte)(&r.childID), &state}, make([]any, len(personColumns))...)
		into = append(into, &r.queries, &decision, &r.matched.probability, &r.matched.weight,
			&r.matched.rule, &r.matched.model, &r.matched.evidence, &r.created, &r.knownFrom, &r.revision, &r.keysOf)
		if err := row.Scan(into...); err != nil {
			return nil, err
		}
		r.state, r.matched.decision = irtv1.ChildRecordState(state), irtv1.MatchDecision(decision)
		c.Of(row)
		c.Skip(len(recordHead))
		return r, readPerson(&c, personColumns, reflect.ValueOf(r.person).Elem(), recordPlace)
	}
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func queryRecords(ctx context.Context, q querier, sql string, args ...any) ([]*record, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("children: querying records: %w", err)
	}
	return scanRecords(rows)
}

// uuids turns ids into what pgx takes as uuid[].
func uuids(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
