require "openssl"

# secret: whsec_…; headers: lower-case names; body: the raw text, before any parsing.
def verify(secret, headers, body)
  id, timestamp = headers["webhook-id"].to_s, headers["webhook-timestamp"].to_s
  return false unless timestamp.match?(/\A\d+\z/) && (Time.now.to_i - timestamp.to_i).abs <= 300
  key = secret.delete_prefix("whsec_").unpack1("m")
  wanted = "v1," + [OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.#{body}")].pack("m0")
  headers["webhook-signature"].to_s.split(" ").any? do |given|
    given.bytesize == wanted.bytesize && OpenSSL.fixed_length_secure_compare(given, wanted)
  end
end
