package shell

import "mvdan.cc/sh/v3/syntax"

// computing are the operators that compute what they assign.
var computing = map[syntax.BinAritOperator]syntax.BinAritOperator{
	syntax.AddAssgn: syntax.Add, syntax.SubAssgn: syntax.Sub, syntax.MulAssgn: syntax.Mul, syntax.QuoAssgn: syntax.Quo, syntax.RemAssgn: syntax.Rem,
	syntax.AndAssgn: syntax.And, syntax.OrAssgn: syntax.Or, syntax.XorAssgn: syntax.Xor, syntax.ShlAssgn: syntax.Shl, syntax.ShrAssgn: syntax.Shr,
}

// elements has a command such as ((a[i]++)) or ((a[i]+=2)) assign to the element,
// which the interpreter cannot do in a sum: { a[i]=$((a[i] + 1)); ((a[i] - 1)); }.
func (f *fitter) elements(st *syntax.Stmt) {
	cmd, ok := st.Cmd.(*syntax.ArithmCmd)
	if !ok {
		return
	}
	element, value, result := elementOf(cmd.X)
	if element == nil {
		return
	}
	last := &syntax.ArithmCmd{X: result}
	if number, ok := f.numbers[cmd]; ok {
		f.numbers[last] = number
	}
	as := &syntax.Assign{Name: element.Param, Index: element.Index, Value: &syntax.Word{Parts: []syntax.WordPart{&syntax.ArithmExp{X: value}}}}
	st.Cmd = &syntax.Block{Lbrace: st.Position, Stmts: []*syntax.Stmt{
		{Position: st.Position, Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{as}}},
		{Position: st.Position, Cmd: last},
	}}
	f.changed = true
}

// elementOf is the element that a sum assigns to, if this is all that it does,
// its new value, and the sum that then has the value of the whole.
func elementOf(sum syntax.ArithmExpr) (element *syntax.ParamExp, value, result syntax.ArithmExpr) {
	switch sum := sum.(type) {
	case *syntax.UnaryArithm:
		op, back := syntax.Add, syntax.Sub
		switch sum.Op {
		case syntax.Dec:
			op, back = back, op
		case syntax.Inc:
		default:
			return nil, nil, nil
		}
		result = sum.X
		if sum.Post {
			result = &syntax.BinaryArithm{Op: back, X: sum.X, Y: literalWord("1")}
		}
		return indexed(sum.X), &syntax.BinaryArithm{Op: op, X: sum.X, Y: literalWord("1")}, result
	case *syntax.BinaryArithm:
		if sum.Op == syntax.Assgn {
			return indexed(sum.X), sum.Y, sum.X
		}
		if op, ok := computing[sum.Op]; ok {
			return indexed(sum.X), &syntax.BinaryArithm{Op: op, X: sum.X, Y: &syntax.ParenArithm{X: sum.Y}}, sum.X
		}
	}
	return nil, nil, nil
}

// indexed is the element that an operand is, if its index can be read more than
// once.
func indexed(operand syntax.ArithmExpr) *syntax.ParamExp {
	word, ok := operand.(*syntax.Word)
	if !ok || len(word.Parts) != 1 {
		return nil
	}
	element, ok := word.Parts[0].(*syntax.ParamExp)
	if !ok || element.Index == nil || !element.Short {
		return nil
	}
	once := false
	syntax.Walk(element.Index, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.UnaryArithm:
			once = once || node.Op == syntax.Inc || node.Op == syntax.Dec
		case *syntax.BinaryArithm:
			once = once || node.Op == syntax.Assgn || computing[node.Op] != 0
		}
		return true
	})
	if once {
		return nil
	}
	return element
}
