package yq

import (
	"bufio"
	"container/list"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mikefarah/yq/v4/pkg/yqlib"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// splitPermission are the permissions of files that --split-exp makes.
const (
	splitPermission  = 0o644
	folderPermission = 0o750
)

// files writes each result into a file of its own, named by an expression. It
// implements yqlib.PrinterWriter.
type files struct {
	inv       tool.Invocation
	name      *yqlib.ExpressionNode
	extension string
	index     int
}

func newFiles(inv tool.Invocation, expression string, format *yqlib.Format) (*files, error) {
	name, err := yqlib.ExpressionParser.ParseExpression(expression)
	if err != nil {
		return nil, fmt.Errorf("bad split document expression: %w", err)
	}
	extension := ".yml"
	switch format {
	case yqlib.JSONFormat:
		extension = ".json"
	case yqlib.PropertiesFormat:
		extension = ".properties"
	}
	return &files{inv: inv, name: name, extension: extension}, nil
}

// GetWriter implements yqlib.PrinterWriter.
func (f *files) GetWriter(node *yqlib.CandidateNode) (*bufio.Writer, error) {
	where := yqlib.Context{MatchingNodes: node.AsList()}
	index := yqlib.CandidateNode{Kind: yqlib.ScalarNode, Tag: "!!int", Value: fmt.Sprint(f.index)}
	where.SetVariable("index", index.AsList())
	result, err := yqlib.NewDataTreeNavigator().GetMatchingNodes(where, f.name)
	if err != nil {
		return nil, err
	}
	name := ""
	if first := result.MatchingNodes.Front(); first != nil {
		if candidate, ok := first.Value.(*yqlib.CandidateNode); ok {
			name = candidate.Value
		}
	}
	if len(filepath.Ext(name)) < len(".x") {
		name += f.extension
	}
	path := f.inv.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), folderPermission); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, nil, splitPermission); err != nil {
		return nil, err
	}
	f.index++
	return bufio.NewWriter(appended(path)), nil
}

// appended is a file that each write opens and closes: the library closes none
// of the files that it writes.
type appended string

func (a appended) Write(b []byte) (int, error) {
	f, err := os.OpenFile(string(a), os.O_APPEND|os.O_WRONLY, splitPermission)
	if err != nil {
		return 0, err
	}
	n, err := f.Write(b)
	return n, errors.Join(err, f.Close())
}

func asList(nodes []*yqlib.CandidateNode) *list.List {
	out := list.New()
	for _, n := range nodes {
		out.PushBack(n)
	}
	return out
}
