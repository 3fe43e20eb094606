package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// parameters are the names that may stand after the question mark of an address.
type parameters map[string]bool

// allowedQueries lists the parameters of every method, by its full name.
func allowedQueries(all []reference.Route) map[string]parameters {
	queries := map[string]parameters{}
	for _, r := range all {
		names := parameters{}
		for _, f := range r.QueryParameters() {
			names[f.JSONName()] = true
			names[string(f.Name())] = true
		}
		queries[reference.FullMethod(r.Method)] = names
	}
	return queries
}

// check refuses a parameter that the method does not have. Ignored, as the
// library would have it, a misspelt asOf would be answered as of today.
func (p parameters) check(query url.Values) error {
	for name := range query {
		if !p[name] {
			return rpc.Malformed(fmt.Sprintf("there is no query parameter %q here; /docs lists those there are", bounded(name)))
		}
	}
	return nil
}

// bounded cuts what a caller sent to a length fit for a message.
func bounded(s string) string {
	if runes := []rune(s); len(runes) > 64 {
		return string(runes[:64]) + "…"
	}
	return s
}

// checkedConn holds every call to the parameters of its method before it goes on
// to the hub.
type checkedConn struct {
	grpc.ClientConnInterface
	queries map[string]parameters
}

// Invoke implements grpc.ClientConnInterface.
func (c checkedConn) Invoke(ctx context.Context, method string, request, answer any, opts ...grpc.CallOption) error {
	if err := c.queries[method].check(requestOf(ctx).URL.Query()); err != nil {
		return err
	}
	return c.ClientConnInterface.Invoke(ctx, method, request, answer, opts...)
}

// queryParser is the library's parser of query parameters with errors that name
// the parameter and repeat no value, and with all names of values that
// standard.EnumValue knows.
type queryParser struct{}

// Parse implements runtime.QueryParameterParser.
func (queryParser) Parse(m proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	values = withWholeNames(m.ProtoReflect().Descriptor(), values)
	var library runtime.DefaultQueryParser
	if err := library.Parse(m, values, filter); err == nil {
		return nil
	}
	for name, v := range values {
		alone := m.ProtoReflect().New().Interface()
		if err := library.Parse(alone, url.Values{name: v}, filter); err != nil {
			return fmt.Errorf("the query parameter %q %s", bounded(name), fit(m.ProtoReflect().Descriptor(), name, len(v)))
		}
	}
	return errors.New("a query parameter is given twice, under two spellings of its name")
}

// withWholeNames are parameters with the names of enumerations' values as the schema has
// them.
func withWholeNames(m protoreflect.MessageDescriptor, values url.Values) url.Values {
	whole := make(url.Values, len(values))
	for name, given := range values {
		whole[name] = given
		field := parameter(m, name)
		if field == nil || field.Enum() == nil {
			continue
		}
		whole[name] = slices.Clone(given)
		for i, text := range given {
			if value := standard.EnumValue(field.Enum(), text); value != nil {
				whole[name][i] = string(value.Name())
			}
		}
	}
	return whole
}

// parameter is the field that a parameter sets, by either of its names.
func parameter(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := m.Fields().ByJSONName(name); field != nil {
		return field
	}
	return m.Fields().ByName(protoreflect.Name(name))
}

// fit says what would be well for a parameter that has n values and cannot be read.
func fit(m protoreflect.MessageDescriptor, name string, n int) string {
	field := parameter(m, name)
	switch {
	case field == nil:
		return "cannot have this value; /docs has its form"
	case n > 1 && !field.IsList():
		return "is given twice"
	case field.Enum() != nil:
		return "must be " + valuesInWords(field.Enum())
	case field.Message() == nil:
		return "must be " + kindInWords(field.Kind().String())
	case field.Message().FullName() == (&timestamppb.Timestamp{}).ProtoReflect().Descriptor().FullName():
		return "must be a time such as 2026-11-26T09:00:00Z"
	}
	return "cannot have this value; /docs has its form"
}
