package standard

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	// Registers the schema's files, whose descriptors the package works from.
	_ "irthub/gen/irt/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Version is the version of the standard: the first number changes when data
// that was accepted no longer would be.
const Version = "1.0"

// schemaPackage is the proto package of the standard.
const schemaPackage protoreflect.FullName = "irt.v1"

// schemaImage is the schema with its comments, which generated code leaves out
// and which are the definitions of the dictionary. A test holds it against the
// generated code. Made, the same every time, by
//
//	bin/buf build --path proto/irt --exclude-imports -o internal/standard/schema.binpb
//
//go:embed schema.binpb
var schemaImage []byte

// schemaComments gives the leading comment of each element by its full name.
var schemaComments = sync.OnceValue(func() map[protoreflect.FullName]string {
	var set descriptorpb.FileDescriptorSet
	must(proto.Unmarshal(schemaImage, &set))
	comments := make(map[protoreflect.FullName]string)
	for _, file := range set.GetFile() {
		fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
		must(err)
		collectComments(comments, fd)
	}
	return comments
})

// must stops the program where what was built into it is broken.
func must(err error) {
	if err != nil {
		panic("standard: the schema in this binary: " + err.Error()) //nolint:forbidigo // a fault of the build, which the first test of any package meets
	}
}

func collectComments(comments map[protoreflect.FullName]string, file protoreflect.FileDescriptor) {
	add := func(d protoreflect.Descriptor) {
		if text := joinLines(file.SourceLocations().ByDescriptor(d).LeadingComments); text != "" {
			comments[d.FullName()] = text
		}
	}
	for i := range file.Messages().Len() {
		message := file.Messages().Get(i)
		add(message)
		for j := range message.Fields().Len() {
			add(message.Fields().Get(j))
		}
	}
	for i := range file.Enums().Len() {
		enum := file.Enums().Get(i)
		add(enum)
		for j := range enum.Values().Len() {
			add(enum.Values().Get(j))
		}
	}
}

// joinLines makes one line of a comment: the schema breaks lines to fit a page.
func joinLines(comment string) string { return strings.Join(strings.Fields(comment), " ") }

// schemaComment is what the schema says of a message, field, enum or value.
func schemaComment(name protoreflect.FullName) string { return schemaComments()[name] }

// schemaMessages are the messages of the schema in the order of their files and
// of their place in them. Nested messages would be missed: the schema has none.
func schemaMessages() []protoreflect.MessageDescriptor {
	var messages []protoreflect.MessageDescriptor
	for _, file := range schemaFiles() {
		for i := range file.Messages().Len() {
			messages = append(messages, file.Messages().Get(i))
		}
	}
	return messages
}

// schemaFiles are the files of the schema by path.
func schemaFiles() []protoreflect.FileDescriptor {
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(schemaPackage, func(f protoreflect.FileDescriptor) bool {
		files = append(files, f)
		return true
	})
	slices.SortFunc(files, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	return files
}
