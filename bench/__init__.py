"""The benchmark of azarr against its peers. Outside the package: it imports azarr as any user does."""
