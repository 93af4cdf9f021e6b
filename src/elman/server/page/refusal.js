// The server's line for a request it refused.
export async function refusal(response) {
  if (response.status === 401 || response.status === 403)
    return "The server does not know this browser; open the address that elman serve printed.";
  try {
    const { error } = await response.json();
    if (error) return error;
  } catch {
    // Not from this server's own hand: a proxy's, perhaps.
  }
  return `The server answered ${response.status}; try again.`;
}
