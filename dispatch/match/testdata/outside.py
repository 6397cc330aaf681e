"""Solves one assignment again and again: each line of input is answered by a line
of the nanoseconds of CPU time that a solve took, and what the solution costs.

The edges are in the file named by the first argument: how many rows, columns and
edges there are, then the starts of the rows, the columns of the edges and their
costs, all 64-bit little-endian. Each row has an edge to a column of its own, which
is to be left out."""

import sys
import time

import numpy
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

data = numpy.fromfile(sys.argv[1], dtype="<i8")
rows, columns, edges = data[:3]
starts, data = data[3 : 4 + rows], data[4 + rows :]
graph = csr_matrix((data[edges:].astype(float), data[:edges], starts), shape=(rows, columns))
print("ready", flush=True)
for _ in sys.stdin:
    began = time.thread_time_ns()
    of_rows, of_columns = min_weight_full_bipartite_matching(graph)
    took = time.thread_time_ns() - began
    print(took, int(graph[of_rows, of_columns].sum()), flush=True)
