// Package redact is where information about people leaves the hub. A handler shows
// each message about a child by a decision of package sharing; what it does not
// show, the interceptors take out of the answer, so that a handler that forgets
// discloses nothing.
package redact

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/sharing"
)

// Show makes a message about a child ready to leave: what the decision does not
// show is taken out, the message and the access log say so, and the interceptors
// let the rest pass. The message must not be changed afterwards.
func Show(ctx context.Context, m proto.Message, d *sharing.Decision) {
	missing := d.Redact(m)
	if missing != 0 {
		noteWithheld(ctx, d, missing)
	}
	Pass(ctx, m)
}

func noteWithheld(ctx context.Context, d *sharing.Decision, missing sharing.Categories) {
	e := audit.FromContext(ctx)
	for _, c := range missing.List() {
		e.AddWithheld(d.Rule(c).ID)
	}
}

// Pass lets a message leave as it is: one that the caller may see as a whole, such
// as an entry of the directory.
func Pass(ctx context.Context, m proto.Message) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.add(m)
	}
}

// Withhold adds a notice to a list of them, once a category, and notes it in the
// access log: for answers whose parts are left out as a whole.
func Withhold(ctx context.Context, notices []*irtv1.Withheld, one *irtv1.Withheld) []*irtv1.Withheld {
	for _, n := range notices {
		if n.GetCategory() == one.GetCategory() {
			return notices
		}
	}
	audit.FromContext(ctx).AddWithheld(one.GetRuleId())
	return append(notices, one)
}

type callKey struct{}

// call is the context of a call, which remembers what was shown.
type call struct {
	context.Context
	mu    sync.Mutex
	few   []proto.Message
	first [2]proto.Message // few begins here
	many  map[proto.Message]struct{}
	// stream: what was sent is forgotten.
	stream bool
}

// fewMost is how many messages are found by looking through them.
const fewMost = 8

func newCall(ctx context.Context) *call {
	c := &call{Context: ctx}
	c.few = c.first[:0]
	return c
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *call) add(m proto.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.few) < fewMost {
		c.few = append(c.few, m)
		return
	}
	if c.many == nil {
		c.many = map[proto.Message]struct{}{}
	}
	c.many[m] = struct{}{}
}

// has tells whether a message was shown. In a stream, which may go on for days, it
// is forgotten with that: what is sent again must be shown again.
func (c *call) has(m proto.Message) bool {
	i := slices.Index(c.few, m)
	_, among := c.many[m]
	if c.stream && i >= 0 {
		c.few = slices.Delete(c.few, i, i+1)
	}
	if c.stream && among {
		delete(c.many, m)
	}
	return i >= 0 || among
}

// seal takes out of an answer whatever is about a person and was not shown.
func (c *call) seal(answer any) {
	m, ok := answer.(proto.Message)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.has(m) {
		return
	}
	r := m.ProtoReflect()
	if !sharing.InSchema(r.Descriptor()) { // health and reflection
		return
	}
	if shape := sharing.ShapeOf(r.Descriptor()); shape.Holds&^sharing.Open != 0 {
		c.sealMessage(r, shape)
	}
}

func (c *call) sealMessage(m protoreflect.Message, shape *sharing.Shape) {
	for i := range shape.Fields {
		f := &shape.Fields[i]
		open := sharing.Open.Has(f.Category)
		switch {
		case open && (f.Inner == nil || f.Inner.Holds&^sharing.Open == 0), !m.Has(f.Descriptor):
		case f.Inner == nil:
			m.Clear(f.Descriptor)
		case f.Descriptor.IsList():
			c.sealList(m, f, open)
		case c.has(m.Get(f.Descriptor).Message().Interface()):
		case open:
			c.sealMessage(m.Mutable(f.Descriptor).Message(), f.Inner)
		default:
			m.Clear(f.Descriptor)
		}
	}
}

// sealList keeps the messages of a list that were shown; of the others what is
// open, where the list is.
func (c *call) sealList(m protoreflect.Message, f *sharing.Field, open bool) {
	list := m.Mutable(f.Descriptor).List()
	kept := 0
	for i := range list.Len() {
		one := list.Get(i)
		if !c.has(one.Message().Interface()) {
			if !open {
				continue
			}
			c.sealMessage(one.Message(), f.Inner)
		}
		list.Set(kept, one)
		kept++
	}
	list.Truncate(kept)
}

// Unary lets only what was shown leave. It is the innermost interceptor, so that
// whatever keeps answers keeps them redacted.
func Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := newCall(ctx)
	resp, err := handler(c, req)
	if err != nil {
		return nil, err
	}
	c.seal(resp)
	return resp, nil
}

// Stream is Unary for streams: it holds for each message that is sent.
func Stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	c := newCall(ss.Context())
	c.stream = true
	return handler(srv, &stream{ServerStream: ss, call: c})
}

type stream struct {
	grpc.ServerStream
	call *call
}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.call }

// SendMsg implements grpc.ServerStream.
func (s *stream) SendMsg(m any) error {
	s.call.seal(m)
	return s.ServerStream.SendMsg(m)
}
