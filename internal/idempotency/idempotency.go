// Package idempotency answers a call that is sent again, with the same
// idempotency-key, as it was answered first, and does not do it again.
//
// What is kept for that holds nobody's data in the clear: of the request a keyed
// hash, and the answer sealed. Both keys are made from the caller's idempotency-key,
// of which the hub keeps only a hash, so that nobody can read an answer who does not
// send the key of its call.
package idempotency

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Header is the metadata in which a caller sends the key.
const Header = "idempotency-key"

const (
	// keep is for how long an answer is kept.
	keep = 24 * time.Hour
	// leaseTime is for how long a call is believed to be under way: longer than any
	// unary call may take.
	leaseTime = 75 * time.Second
	// patience is how long a second call waits for the answer of the first, which it
	// asks for every pollEvery.
	patience  = 5 * time.Second
	pollEvery = 100 * time.Millisecond
	// A key has so many characters. A UUID has 36, and can be guessed by nobody.
	shortest, longest = 16, 128
	// largest is the largest answer that is kept, in bytes.
	largest = 1 << 20
)

// Keeper keeps first answers.
type Keeper struct {
	pool *pgxpool.Pool
	stop context.CancelFunc
	done chan struct{}
}

// New makes a Keeper, which forgets answers in time until Close.
func New(pool *pgxpool.Pool, report func(error)) *Keeper {
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{pool: pool, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		k.forget(ctx, report)
	}()
	return k
}

// Close ends what New began.
func (k *Keeper) Close() {
	k.stop()
	<-k.done
}

// Unary is the interceptor. It runs after identity, audit and authorisation, so that
// an answer given again is an access like any other; what it gives again is what left
// the interceptors after it.
func (k *Keeper) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	sent := metadata.ValueFromIncomingContext(ctx, Header)
	if len(sent) == 0 || !Honoured(info.FullMethod) {
		return handler(ctx, req)
	}
	key := strings.Join(sent, ",")
	request, ok := req.(proto.Message)
	if !ok || !wellFormed(key) {
		return nil, errKey()
	}
	c, err := newCall(identity.FromContext(ctx), info.FullMethod, key, rpc.IfMatch(ctx), request)
	if err != nil {
		return nil, err
	}
	return k.answer(ctx, c, func() (any, error) { return handler(ctx, req) })
}

// answer gives the first answer of a call, or does it.
func (k *Keeper) answer(ctx context.Context, c *call, do func() (any, error)) (any, error) {
	until := time.Now().Add(patience)
	for {
		mine, present, err := k.begin(ctx, c)
		switch {
		case err != nil:
			return nil, err
		case mine:
			return k.do(ctx, c, do)
		case !hmac.Equal(present.request, c.request[:]):
			return nil, errReused()
		case present.answer != nil:
			return again(ctx, c, present.answer)
		case time.Now().After(until):
			return nil, errUnderWay()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// do does a call for the first time, and keeps its answer. One that fails is
// forgotten, so that it can be tried again; so is the key where the answer cannot
// be kept, since the change itself is made.
func (k *Keeper) do(ctx context.Context, c *call, do func() (any, error)) (any, error) {
	resp, err := rpc.Guard(do)
	kept := context.WithoutCancel(ctx)
	message, ok := resp.(proto.Message)
	if err != nil || !ok || proto.Size(message) > largest {
		k.release(kept, c)
		return resp, err
	}
	sealed, sealErr := c.seal(message)
	if sealErr != nil {
		k.release(kept, c)
		return resp, nil //nolint:nilerr // the call is done; that it can be asked for again is lost
	}
	k.finish(kept, c, sealed)
	return resp, nil
}

// again opens a kept answer, and notes in the access log what it is about.
func again(ctx context.Context, c *call, sealed []byte) (any, error) {
	m, err := c.open(sealed)
	if err != nil {
		return nil, err
	}
	note(audit.FromContext(ctx), m.ProtoReflect(), 2)
	return m, nil
}

// note adds the resources that an answer names to an access entry.
func note(e *audit.Entry, m protoreflect.Message, depth int) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList() || fd.IsMap():
		case fd.Kind() == protoreflect.StringKind && fd.Name() == "name":
			e.AddReturned(v.String())
			fallthrough
		case fd.Kind() == protoreflect.StringKind:
			if child, err := rpc.ParseChildName(v.String()); err == nil {
				e.AddChild(child)
			}
		case fd.Message() != nil && depth > 0:
			note(e, v.Message(), depth-1)
		}
		return true
	})
}

// call is one call with a key.
type call struct {
	hash    [sha256.Size]byte // of who calls what with which key
	request [sha256.Size]byte // keyed, of what is asked for
	runner  uuid.UUID
	aead    cipher.AEAD
}

func newCall(caller identity.Caller, method, key, ifMatch string, req proto.Message) (*call, error) {
	c := &call{runner: uuid.New()}
	who := strings.Join([]string{caller.Agency, caller.Practitioner, caller.Role.String(), caller.OnBehalfOf, method}, "\x00")
	c.hash = sha256.Sum256([]byte(who + "\x00" + key))
	secret, err := hkdf.Key(sha256.New, []byte(key), []byte(who), "irthub idempotency", 64)
	if err != nil {
		return nil, fmt.Errorf("idempotency: deriving keys: %w", err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("idempotency: marshalling a request: %w", err)
	}
	mac := hmac.New(sha256.New, secret[:32])
	_, _ = mac.Write(append([]byte(ifMatch+"\x00"), b...)) // never fails
	mac.Sum(c.request[:0])
	block, err := aes.NewCipher(secret[32:])
	if err == nil {
		c.aead, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		return nil, fmt.Errorf("idempotency: making a cipher: %w", err)
	}
	return c, nil
}

func (c *call) seal(m proto.Message) ([]byte, error) {
	named, err := anypb.New(m)
	if err != nil {
		return nil, fmt.Errorf("idempotency: naming an answer: %w", err)
	}
	b, err := proto.Marshal(named)
	if err != nil {
		return nil, fmt.Errorf("idempotency: marshalling an answer: %w", err)
	}
	return c.aead.Seal(nil, nil, b, c.hash[:]), nil //nolint:gosec // the nonce is random: NewGCMWithRandomNonce
}

func (c *call) open(sealed []byte) (proto.Message, error) {
	b, err := c.aead.Open(nil, nil, sealed, c.hash[:])
	if err != nil {
		return nil, fmt.Errorf("idempotency: opening an answer: %w", err)
	}
	named := &anypb.Any{}
	if err := proto.Unmarshal(b, named); err != nil {
		return nil, fmt.Errorf("idempotency: reading an answer: %w", err)
	}
	m, err := named.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("idempotency: reading an answer: %w", err)
	}
	return m, nil
}

// wellFormed holds a key to its length, and to letters, digits and signs of ASCII.
func wellFormed(key string) bool {
	return len(key) >= shortest && len(key) <= longest &&
		!strings.ContainsFunc(key, func(c rune) bool { return c <= 0x20 || c > 0x7e })
}

// reads are the verbs, as the AIPs have them, of methods that change nothing. They
// may be sent again as often as one likes, and their answers are not kept.
var reads = []string{
	"Get", "List", "Search", "Lookup", "Match", "Check", "Explain", "Validate", "Prove", "Evaluate", "Preview",
	"Export", "Download", "Watch",
}

// Honoured tells whether a method heeds the key: every unary one that may change
// something.
func Honoured(fullMethod string) bool { return honoured()[fullMethod] }

var honoured = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	protoregistry.GlobalFiles.RangeFilesByPackage("irt.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				all["/"+string(service.FullName())+"/"+string(m.Name())] = writes(m)
			}
		}
		return true
	})
	return all
})

func writes(m protoreflect.MethodDescriptor) bool {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if m.IsStreamingClient() || m.IsStreamingServer() || rule == nil || rule.GetGet() != "" {
		return false
	}
	return !slices.ContainsFunc(reads, func(verb string) bool { return strings.HasPrefix(string(m.Name()), verb) })
}

func errKey() error {
	return rpc.Invalid([]standard.Fault{{
		Field: Header, RuleID: "IDEMPOTENCY_KEY_FORM",
		Description: "The idempotency-key has not 16 to 128 letters, digits and signs of ASCII.", Action: "Send a random UUID.",
	}})
}

func errReused() error {
	return rpc.Error(codes.InvalidArgument, irtv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED,
		"This idempotency-key was used for another request. Send every new request with a key of its own.")
}

func errUnderWay() error {
	return rpc.RetryLater(codes.Aborted, irtv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_IN_PROGRESS,
		"A call with this idempotency-key is still under way. Send it again in a second or later.", time.Second)
}
