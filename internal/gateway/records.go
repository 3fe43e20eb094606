package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

const (
	// maxLine bounds one record of a stream of JSON lines, in bytes.
	maxLine = 256 << 10
	// unanswered is how many records may wait for their answers: more are not read.
	unanswered = 512
)

// submission is a stream of records and their answers, whichever kind they are of.
type submission interface {
	// send decodes a line, which stands after so many others, and sends it on.
	send(line []byte, before int) error
	// receive gives the next answer.
	receive() (proto.Message, error)
	// refuse is the answer to a line that could not be sent on.
	refuse(error) proto.Message
	CloseSend() error
}

// These answer POST /v1/childRecords:submit and the like: one JSON object a line in,
// one a line out, in order, as they come. Nothing is read before there is room for its
// answer.

func (g *Gateway) submitRecords(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewChildServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.ChildService_SubmitChildRecords_FullMethodName, stream(client.SubmitChildRecords,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitChildRecordsResponse{Outcome: &irtv1.SubmitChildRecordsResponse_Error{Error: e}}
		}))
}

func (g *Gateway) submitInvolvements(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewInvolvementServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.InvolvementService_SubmitInvolvements_FullMethodName, stream(client.SubmitInvolvements,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitInvolvementsResponse{Outcome: &irtv1.SubmitInvolvementsResponse_Error{Error: e}}
		}))
}

func (g *Gateway) submitConcerns(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewConcernServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.ConcernService_SubmitConcerns_FullMethodName, stream(client.SubmitConcerns,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitConcernsResponse{Outcome: &irtv1.SubmitConcernsResponse_Error{Error: e}}
		}))
}

func (g *Gateway) submitReferrals(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewReferralServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.ReferralService_SubmitReferrals_FullMethodName, stream(client.SubmitReferrals,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitReferralsResponse{Outcome: &irtv1.SubmitReferralsResponse_Error{Error: e}}
		}))
}

func (g *Gateway) submitPlans(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewPlanServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.PlanService_SubmitPlans_FullMethodName, stream(client.SubmitPlans,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitPlansResponse{Outcome: &irtv1.SubmitPlansResponse_Error{Error: e}}
		}))
}

func (g *Gateway) submitConsents(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewConsentServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.ConsentService_SubmitConsents_FullMethodName, stream(client.SubmitConsents,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitConsentsResponse{Outcome: &irtv1.SubmitConsentsResponse_Error{Error: e}}
		}))
}

func (g *Gateway) submitServices(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	client := irtv1.NewAgencyServiceClient(g.options.Conn)
	g.submit(w, r, irtv1.AgencyService_SubmitServices_FullMethodName, stream(client.SubmitServices,
		func(e *rpcstatus.Status) proto.Message {
			return &irtv1.SubmitServicesResponse{Outcome: &irtv1.SubmitServicesResponse_Error{Error: e}}
		}))
}

// message is a message of the type T, which is a struct.
type message[T any] interface {
	*T
	proto.Message
}

// stream opens a stream of requests Req and answers Resp. refused is the answer to a
// line that is none.
func stream[Req, Resp any, PReq message[Req], PResp message[Resp]](
	open func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[Req, Resp], error),
	refused func(*rpcstatus.Status) proto.Message,
) func(context.Context) (submission, error) {
	return func(ctx context.Context) (submission, error) {
		s, err := open(ctx)
		return &jsonStream[Req, Resp, PReq, PResp]{s, refused}, err
	}
}

// jsonStream is such a stream.
type jsonStream[Req, Resp any, PReq message[Req], PResp message[Resp]] struct {
	grpc.BidiStreamingClient[Req, Resp]
	refused func(*rpcstatus.Status) proto.Message
}

func (s *jsonStream[Req, Resp, PReq, PResp]) send(line []byte, before int) error {
	m := PReq(new(Req))
	if err := decode(strictJSON, line, m, before); err != nil {
		return err
	}
	return s.Send((*Req)(m))
}

func (s *jsonStream[Req, Resp, PReq, PResp]) receive() (proto.Message, error) {
	m, err := s.Recv()
	return PResp(m), err
}

func (s *jsonStream[Req, Resp, PReq, PResp]) refuse(err error) proto.Message {
	return s.refused(status.Convert(rpc.Malformed(err.Error())).Proto())
}

func (g *Gateway) submit(w http.ResponseWriter, r *http.Request, method string, open func(context.Context) (submission, error)) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ctx, err := runtime.AnnotateContext(ctx, g.api, r, method)
	if err == nil && !isLines(r.Header) {
		err = errMediaType("records are sent one JSON object a line with Content-Type: application/x-ndjson, and without Content-Encoding")
	}
	if err != nil {
		g.writeError(w, r, err)
		return
	}
	stream, err := open(ctx)
	if err != nil {
		g.writeError(w, r, err)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex() // HTTP/2 always is; not every ResponseWriter can
	s := &lineStream{g: g, w: w, r: r, rc: rc, stream: stream, order: make(chan proto.Message, unanswered)}
	go s.read(ctx, &steadyReader{Reader: r.Body, rc: rc, patience: g.options.Patience})
	s.answer(ctx)
}

func isLines(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	enc := h.Get("Content-Encoding")
	return err == nil && (mediaType == reference.LinesType || mediaType == "application/jsonl" || mediaType == "application/json") &&
		(enc == "" || enc == "identity")
}

// lineStream is a stream of lines on its way in and of answers on their way out.
type lineStream struct {
	g       *Gateway
	w       http.ResponseWriter
	r       *http.Request
	rc      *http.ResponseController
	stream  submission
	order   chan proto.Message // one for each line: its refusal here, or nil for what the hub answers
	broken  error              // why the body was not read to its end; read after order is closed
	written bool
}

// read sends the lines on.
func (s *lineStream) read(ctx context.Context, body io.Reader) {
	defer close(s.order)
	defer func() { _ = s.stream.CloseSend() }() // the hub then answers what it has
	lines := bufio.NewReaderSize(body, maxLine)
	for before := 0; ; before++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			s.broken = rpc.TooLarge(len(line)+1, maxLine)
			return
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			var answer proto.Message
			refused := s.stream.send(line, before)
			ended := errors.Is(refused, io.EOF) // by the hub: what receive gives says why
			if refused != nil && !ended {
				answer = s.stream.refuse(refused)
			}
			select {
			case s.order <- answer:
			case <-ctx.Done():
				return
			}
			if ended {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.broken = errBody(err)
			}
			return
		}
	}
}

// answer writes the answers in the order of the lines.
func (s *lineStream) answer(ctx context.Context) {
	for answer := range s.order {
		if answer == nil {
			var err error
			if answer, err = s.stream.receive(); err != nil {
				s.fail(ctx, err)
				return
			}
		}
		if !s.write(answer, len(s.order) == 0) {
			return
		}
	}
	s.g.awaitReader(s.rc) // the last answer may have gone long ago
	if s.broken != nil {
		s.fail(ctx, s.broken)
		return
	}
	if _, err := s.stream.receive(); !errors.Is(err, io.EOF) { // how the stream itself ended
		s.fail(ctx, err)
		return
	}
	s.begin()
}

func (s *lineStream) begin() {
	if !s.written {
		s.written = true
		s.w.Header().Set("Content-Type", reference.LinesType)
		s.w.WriteHeader(http.StatusOK)
	}
}

// write writes one answer, and sends on what is written before it waits for more.
func (s *lineStream) write(answer proto.Message, flush bool) bool {
	s.begin()
	s.g.awaitReader(s.rc)
	rename(answer.ProtoReflect())
	if outcome, ok := answer.(interface{ GetError() *rpcstatus.Status }); ok {
		nameFault(outcome.GetError())
	}
	b, err := protojson.Marshal(answer)
	if err != nil {
		return false
	}
	if _, err = s.w.Write(append(b, '\n')); err == nil && flush {
		err = s.rc.Flush()
	}
	return err == nil
}

// fail answers with an error; once answers have been written, as the last line.
func (s *lineStream) fail(ctx context.Context, err error) {
	s.g.awaitReader(s.rc)
	if !s.written {
		s.g.handleError(ctx, s.g.api, nil, s.w, s.r, err)
		return
	}
	s.g.writeErrorLine(s.w, s.r, err)
}

// strictJSON reads one line.
var strictJSON = protojson.UnmarshalOptions{RecursionLimit: 50}
