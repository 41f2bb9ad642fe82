//! Phase one of inactivation decoding (RFC 6330 section 5.4.2.2): peeling.
//!
//! A row with one active column left gives that column its value (a *pivot*). When no such row is
//! left, a column is declared inactive: it becomes an unknown of the dense system. Only counts and
//! the XOR of the active columns of each row are kept, so a step costs the column's ones.

use std::collections::BinaryHeap;

use crate::constraint_matrix::ConstraintMatrix;

/// Column state: not decided yet.
const ACTIVE: u32 = u32::MAX;
/// Column state: the value of a pivot row. Every smaller state is an index of inactive columns.
const PIVOT: u32 = u32::MAX - 1;

/// An elimination order for the sparse rows.
#[derive(Default)]
pub(crate) struct Peeling {
    /// `(row, column)`: the row gives the column from earlier pivots and inactive columns.
    pub pivots: Vec<(u32, u32)>,
    /// The inactive columns; the first P are the PI symbols in order.
    pub inactive: Vec<u32>,
    /// Binary rows that are no pivot.
    pub residual: Vec<u32>,
}

/// Peeling stopped because more columns than allowed would become inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyInactive;

impl Peeling {
    /// Checks an order found elsewhere: every pivot row must use only earlier pivots and inactive
    /// columns, and every column must be one or the other. `None` if it does not hold.
    ///
    /// Costs one pass over the ones of the matrix; nothing is searched.
    pub(crate) fn replay(
        matrix: &ConstraintMatrix,
        pivots: &[(u32, u32)],
        inactivated: &[u32],
    ) -> Option<Self> {
        let parameters = &matrix.parameters;
        let mut state = vec![ACTIVE; parameters.l as usize];
        let inactive: Vec<u32> =
            (parameters.w..parameters.l).chain(inactivated.iter().copied()).collect();
        for (index, &column) in inactive.iter().enumerate() {
            let slot = state.get_mut(column as usize)?;
            if std::mem::replace(slot, index as u32) != ACTIVE {
                return None;
            }
        }
        let mut used = vec![false; matrix.rows() as usize];
        for &(row, column) in pivots {
            if std::mem::replace(used.get_mut(row as usize)?, true)
                || *state.get(column as usize)? != ACTIVE
            {
                return None;
            }
            let mut unknown = matrix.row(row).iter().filter(|&&c| state[c as usize] == ACTIVE);
            if unknown.next() != Some(&column) || unknown.next().is_some() {
                return None;
            }
            state[column as usize] = PIVOT;
        }
        if pivots.len() + inactive.len() != state.len() {
            return None;
        }
        let residual = (0..matrix.rows()).filter(|&row| !used[row as usize]).collect();
        Some(Self { pivots: pivots.to_vec(), inactive, residual })
    }
}

/// Finds an elimination order with few inactive columns, at most `limit` of them.
pub(crate) fn peel(matrix: &ConstraintMatrix, limit: usize) -> Result<Peeling, TooManyInactive> {
    Peeler::new(matrix, limit).run()
}

/// What is left of a row: how many active columns, and their XOR.
#[derive(Clone, Copy, Default)]
struct Rest {
    count: u32,
    xor: u32,
}

struct Peeler<'a> {
    matrix: &'a ConstraintMatrix,
    limit: usize,
    rest: Vec<Rest>,
    /// Rows of each LT column, in compressed form.
    starts: Vec<u32>,
    rows: Vec<u32>,
    state: Vec<u32>,
    pivots: Vec<(u32, u32)>,
    inactive: Vec<u32>,
    /// Rows with one active column. LDPC rows are long: as pivots they are evaluated twice, so they
    /// wait until no LT row is left.
    ready: Vec<u32>,
    ready_ldpc: Vec<u32>,
    /// Rows that had two active columns when last touched.
    pairs: Vec<u32>,
    components: Components,
}

impl<'a> Peeler<'a> {
    fn new(matrix: &'a ConstraintMatrix, limit: usize) -> Self {
        let parameters = &matrix.parameters;
        let (w, l) = (parameters.w as usize, parameters.l as usize);
        let rows = matrix.rows();
        let mut rest = vec![Rest::default(); rows as usize];
        let mut starts = vec![0u32; w + 1];
        for (row, rest) in (0..rows).zip(&mut rest) {
            let columns = matrix.lt(row);
            rest.count = columns.len() as u32;
            for &column in columns {
                rest.xor ^= column;
                starts[column as usize] += 1;
            }
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        let mut by_column = vec![0u32; end as usize];
        for row in (0..rows).rev() {
            for &column in matrix.lt(row) {
                let start = &mut starts[column as usize];
                *start -= 1;
                by_column[*start as usize] = row;
            }
        }
        let mut state = vec![ACTIVE; l];
        for (index, state) in state[w..].iter_mut().enumerate() {
            *state = index as u32;
        }
        Self {
            matrix,
            limit,
            rest,
            starts,
            rows: by_column,
            state,
            pivots: Vec::with_capacity(w),
            inactive: (w as u32..l as u32).collect(),
            ready: Vec::new(),
            ready_ldpc: Vec::new(),
            pairs: Vec::new(),
            components: Components::new(w),
        }
    }

    fn run(mut self) -> Result<Peeling, TooManyInactive> {
        for row in (0..self.matrix.rows()).rev() {
            match self.rest[row as usize].count {
                // LDPC rows have many columns.
                1 => self.ready.push(row),
                2 => self.pairs.push(row),
                _ => {}
            }
        }
        let columns = self.matrix.parameters.w as usize;
        let mut pivot_rows = vec![false; self.matrix.rows() as usize];
        loop {
            while let Some(row) = self.ready.pop().or_else(|| self.ready_ldpc.pop()) {
                let Rest { count, xor } = self.rest[row as usize];
                if count == 1 {
                    pivot_rows[row as usize] = true;
                    self.pivots.push((row, xor));
                    self.state[xor as usize] = PIVOT;
                    self.remove(xor);
                }
            }
            let decided = self.pivots.len() + self.inactive.len()
                - (self.matrix.parameters.l as usize - columns);
            if decided == columns {
                break;
            }
            if self.inactive.len() >= self.limit {
                return Err(TooManyInactive);
            }
            let column = self.choose();
            self.state[column as usize] = self.inactive.len() as u32;
            self.inactive.push(column);
            self.remove(column);
        }
        let residual = (0..self.matrix.rows()).filter(|&row| !pivot_rows[row as usize]).collect();
        Ok(Peeling { pivots: self.pivots, inactive: self.inactive, residual })
    }

    /// Takes a decided column out of every row.
    fn remove(&mut self, column: u32) {
        let range =
            self.starts[column as usize] as usize..self.starts[column as usize + 1] as usize;
        let s = self.matrix.parameters.s;
        for &row in &self.rows[range] {
            let rest = &mut self.rest[row as usize];
            rest.count -= 1;
            rest.xor ^= column;
            match rest.count {
                1 if row < s => self.ready_ldpc.push(row),
                1 => self.ready.push(row),
                2 => self.pairs.push(row),
                _ => {}
            }
        }
    }

    /// The column to make inactive: one in the largest set of columns that rows of two active columns
    /// connect, because all others of the set can then be peeled.
    fn choose(&mut self) -> u32 {
        while let Some(row) = self.pairs.pop() {
            let Rest { count: 2, xor } = self.rest[row as usize] else { continue };
            let active = |&&c: &&u32| self.state[c as usize] == ACTIVE;
            if let Some(&column) = self.matrix.lt(row).iter().find(active) {
                self.components.join(column, xor ^ column);
            }
        }
        let state = &self.state;
        if let Some(column) = self.components.largest(|root| state[root as usize] == ACTIVE) {
            return column;
        }
        // No row has two active columns: thin out the shortest row. Bounded by the limit on inactive
        // columns, and rare: at most a few times in a block of ordinary symbols.
        let shortest = (0..self.matrix.rows())
            .filter(|&row| self.rest[row as usize].count > 0)
            .min_by_key(|&row| self.rest[row as usize].count);
        let candidates = shortest.map_or(&[][..], |row| self.matrix.row(row));
        let busiest = candidates
            .iter()
            .copied()
            .filter(|&c| self.state[c as usize] == ACTIVE)
            .max_by_key(|&c| self.starts[c as usize + 1] - self.starts[c as usize]);
        let any = || self.state.iter().position(|&state| state == ACTIVE).unwrap_or(0) as u32;
        busiest.unwrap_or_else(any)
    }
}

/// Sets of columns connected by rows of two active columns: union-find with sizes.
///
/// When a column of a set becomes inactive the whole set is peeled, so sets only ever grow or vanish.
struct Components {
    parent: Vec<u32>,
    size: Vec<u32>,
    /// `(size, root)` at the time of each union; stale entries are skipped when popped.
    by_size: BinaryHeap<(u32, u32)>,
}

impl Components {
    fn new(columns: usize) -> Self {
        Self {
            parent: (0..columns as u32).collect(),
            size: vec![1; columns],
            by_size: BinaryHeap::new(),
        }
    }

    fn root(&mut self, mut column: u32) -> u32 {
        while self.parent[column as usize] != column {
            let next = self.parent[self.parent[column as usize] as usize];
            self.parent[column as usize] = next;
            column = next;
        }
        column
    }

    fn join(&mut self, a: u32, b: u32) {
        let (mut a, mut b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        if self.size[a as usize] < self.size[b as usize] {
            (a, b) = (b, a);
        }
        self.parent[b as usize] = a;
        self.size[a as usize] += self.size[b as usize];
        self.by_size.push((self.size[a as usize], a));
    }

    fn largest(&mut self, active: impl Fn(u32) -> bool) -> Option<u32> {
        while let Some((size, root)) = self.by_size.pop() {
            let current = self.parent[root as usize] == root && self.size[root as usize] == size;
            if current && active(root) {
                return Some(root);
            }
        }
        None
    }
}
